"""python -m tests.gauntlet: one run of the whole chain under the timetable of a seed, and its judgement.

    python -m tests.gauntlet --seed 7 --seconds 60 --family network [--keep FOLDER] [--plan]

Exit status: 0 nothing is lost, wrong or unexplained; 1 something is, and the folder of the run is kept; 2 it could not
be run to its end. After the last fault a quiet time, bounded: the gateway is stopped and started again, and every batch
must get its receipt. Then everything is stopped, what the database has is written to a file, and `check` judges.
"""

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.gauntlet import check
from tests.gauntlet.actors import DATABASE, World, missing_here
from tests.gauntlet.plan import AMNESIA, FAMILIES, Plan, draw
from tests.support.chain import now_ms

SETTLE_S = 150.0
QUIET_S = 3.0
AUDIT_S = 60.0
SYNC_S = 12.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status."""
    options = _parser().parse_args(arguments)
    missing = missing_here()
    plan = draw(options.seed, options.seconds, options.family, missing)
    print(f"seed {plan.seed}, family {plan.family}, {len(plan.faults)} faults in {plan.seconds:g} s", flush=True)
    if options.plan:
        print(plan.text())
        return 0
    folder = run_folder(f"{plan.family}-{plan.seed}-", options.keep)
    try:
        asyncio.run(run(folder, plan, recalls=AMNESIA not in missing))
        verdict = check.judge(folder)
    except (AssertionError, OSError, RuntimeError, ExceptionGroup) as error:
        traceback.print_exception(error, file=sys.stdout)
        return _told(plan, folder, 2)
    print(verdict.text())
    if verdict.ok and options.keep is None:
        shutil.rmtree(folder)
        return 0
    return 0 if verdict.ok else _told(plan, folder, 1)


def run_folder(prefix: str, within: Path | None) -> Path:
    """A new one: in `within`, which is made if it is not there, or where temporary things stand."""
    if within is not None:
        within.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=within))


async def run(folder: Path, plan: Plan, *, recalls: bool) -> None:
    """Leaves in `folder` what `check` needs; raises AssertionError when it does not come to rest."""
    world = World(folder, plan.seed, plan.family)
    async with world.running():
        await until_online(world)
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(world.keep_looking(), name="look")
            await suffer(world, plan)
            looking.cancel()
        await rest(world)
        if recalls and any(fault.kind == "amnesia" for fault in plan.faults):
            await recall(world)
        dump(world)


async def until_online(world: World) -> None:
    """The chain works once before anything goes wrong."""
    end = time.monotonic() + SETTLE_S
    while (await world.status()).get("connected") is not True:
        assert time.monotonic() < end, "the gateway did not come up"
        await asyncio.sleep(0.2)


async def suffer(world: World, plan: Plan) -> None:
    """All faults at their times, each to its end."""
    start = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        for fault in plan.faults:
            await asyncio.sleep(max(0.0, start + fault.at_s - asyncio.get_running_loop().time()))
            tasks.create_task(world.suffer(fault), name=str(fault))
        await asyncio.sleep(max(0.0, start + plan.seconds - asyncio.get_running_loop().time()))


async def rest(world: World) -> None:
    """End the gateway well, silence the devices, and let it come back until every batch has its receipt."""
    await asyncio.sleep(QUIET_S)
    for name, process in world.processes.items():
        assert process.pid, name
    at = now_ms()
    await asyncio.to_thread(world.gateway.stop)
    await asyncio.to_thread(world.simulators.stop)
    world.note("stop", "gateway", at)
    world.gateway.start()
    await settled(world)


async def settled(world: World) -> None:
    """Nothing is pending, and the disk is the spool again; bounded."""
    end = time.monotonic() + SETTLE_S
    while True:
        status = await world.status()
        if status.get("pending") == 0 and status.get("connected") and not status.get("failing"):
            return
        assert time.monotonic() < end, f"not settled after {SETTLE_S} s: {status}"
        await asyncio.sleep(0.2)


async def recall(world: World) -> None:
    """What the database forgot is asked for again, until nothing is unexplained; bounded."""
    end = time.monotonic() + SETTLE_S
    command = [sys.executable, "-m", "gateway", "ioc", "recall", str(world.folder / "audit.toml"), "--missing"]
    while audit(world)[0]:
        assert time.monotonic() < end, f"still unexplained after {SETTLE_S} s: {audit(world)[1]}"
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=AUDIT_S, check=False
        )
        print(done.stdout + done.stderr)
        await asyncio.sleep(SYNC_S)


def audit(world: World) -> tuple[int, str]:
    """`gateway ioc audit`: exit status, and what it printed."""
    command = [sys.executable, "-m", "gateway", "ioc", "audit", str(world.folder / "audit.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_S, check=False)
    return done.returncode, done.stdout + done.stderr


def dump(world: World) -> None:
    """Gateway and workers end as they should; the audit, and all that the database has, as files."""
    world.gateway.stop()
    for ingest in world.ingests:
        ingest.stop()
    code, said = audit(world)
    (world.folder / "audit.txt").write_text(f"{said}exit {code}\n")
    question = urllib.parse.urlencode({"db": DATABASE, "epoch": "ns", "q": "SELECT * FROM /.*/ GROUP BY *"})
    with urllib.request.urlopen(f"{world.influxd.url}/query?{question}", timeout=AUDIT_S) as answer:
        (world.folder / "stored.json").write_bytes(answer.read())


def _told(plan: Plan, folder: Path, code: int) -> int:
    print(f"timetable:\n{plan.text()}")
    print(f"kept in {folder}; judge it again: python -m tests.gauntlet.check {folder}")
    print(
        f'replay: make gauntlet ARGS="--seed {plan.seed} --seconds {plan.seconds:g} --family {plan.family}"', flush=True
    )
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.gauntlet", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--family", choices=FAMILIES, default="mixed")
    parser.add_argument("--keep", type=Path, help="a folder in which the run's folder stays, whatever comes of it")
    parser.add_argument("--plan", action="store_true", help="print the timetable, do nothing")
    return parser
