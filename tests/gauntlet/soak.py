"""python -m tests.gauntlet.soak --hours H: the whole chain for hours, and whether anything grows.

    python -m tests.gauntlet.soak --hours 24 [--faults SEED] [--keep FOLDER]

Every SAMPLE_S: resident memory, open descriptors and threads of gateway and workers, bytes of the spool's folder, and
how long the newest row took from its reading into InfluxDB. With `--faults` the ways are reset, sliced and slowed on
the timetable of that seed, mildly.

The rule, for each figure: the median of the last fifth of the samples is compared with that of the second fifth (the
first one is the warm-up). Flat is what has not grown by more than GROWTH of it plus the figure's own slack:
    memory        3 MB        descriptors, threads  2
    latency       250 ms
The spool keeps what is settled (`archive_days`), so its folder may grow by what is filed and not by more: at most
SPOOL_BYTES_A_VALUE a served value, plus 10 MB for its WAL and the pages of its tables. At the end the judge of the
gauntlet speaks too. Exit status: 0 flat and right, 1 not, 2 it could not be run.
"""

import argparse
import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.bench.process import rss_mb
from tests.gauntlet import check
from tests.gauntlet.actors import DATABASE, World
from tests.gauntlet.plan import Fault, Plan, draw
from tests.gauntlet.run import dump, rest, run_folder, suffer, until_online
from tests.support.chain import now_ms

SAMPLES_MIN, SAMPLE_S_MAX = 50, 60.0
GROWTH = 0.05
SPOOL_BYTES_A_VALUE = 12
SPOOL_SLACK_BYTES = 10 << 20
HTTP_S = 10.0
MILD = frozenset(("reset", "slice", "latency"))
WATCHED = ("gateway", "ingest-1", "ingest-2")
FIFTHS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that is sampled; `slack` is what it may differ by chance."""

    name: str
    slack: float
    samples: list[float] = field(default_factory=list)

    def ends(self) -> tuple[float, float]:
        """Medians of the second and of the last fifth."""
        size = max(1, len(self.samples) // FIFTHS)
        return median(self.samples[size : 2 * size] or self.samples), median(self.samples[-size:])

    def flat(self) -> bool:
        """By the rule above."""
        early, late = self.ends()
        return late <= early * (1 + GROWTH) + self.slack

    def line(self) -> str:
        """A row of the table."""
        early, late = self.ends()
        verdict = "flat" if self.flat() else "GROWS"
        return f"{self.name:<24} {early:10.1f} {late:10.1f} {max(self.samples):10.1f}  {verdict}"


@dataclass(frozen=True, slots=True)
class Gauge:
    """All figures of a world, and how its spool grew."""

    world: World
    figures: dict[str, Figure]
    spool_bytes: list[int]

    @classmethod
    def of(cls, world: World) -> "Gauge":
        """Nothing sampled yet."""
        kinds = (("MB", 3.0), ("descriptors", 2.0), ("threads", 2.0))
        names = [(f"{who} {what}", slack) for who in WATCHED for what, slack in kinds]
        return cls(world, {name: Figure(name, slack) for name, slack in [*names, ("latency ms", 250.0)]}, [])

    def sample(self) -> None:
        """One of each."""
        for who in WATCHED:
            pid = self.world.processes[who].pid
            self.figures[f"{who} MB"].samples.append(rss_mb(pid))
            self.figures[f"{who} descriptors"].samples.append(_entries(pid, "fd"))
            self.figures[f"{who} threads"].samples.append(_entries(pid, "task"))
        self.figures["latency ms"].samples.append(_latency_ms(self.world))
        spool = self.world.folder / "spool"
        self.spool_bytes.append(sum(path.stat().st_size for path in spool.iterdir() if path.is_file()))

    def spool_bound(self, values: int) -> int:
        """How much it may have grown."""
        return values * SPOOL_BYTES_A_VALUE + SPOOL_SLACK_BYTES

    def table(self, values: int) -> Iterator[str]:
        """For people."""
        yield f"{'':<24} {'2nd fifth':>10} {'last fifth':>10} {'most':>10}"
        yield from (figure.line() for figure in self.figures.values())
        grown, bound = self.spool_bytes[-1] - self.spool_bytes[0], self.spool_bound(values)
        verdict = "as filed" if grown <= bound else "GROWS"
        yield f"{'spool KB grown':<24} {grown / 1024:10.1f} {bound / 1024:10.1f} (bound) {'':4}{verdict}"

    def flat(self, values: int) -> bool:
        """Whether all of it is."""
        grown = self.spool_bytes[-1] - self.spool_bytes[0]
        return all(figure.flat() for figure in self.figures.values()) and grown <= self.spool_bound(values)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status."""
    options = _parser().parse_args(arguments)
    seconds = options.hours * 3600
    faults = _mild(options.faults, seconds) if options.faults is not None else ()
    plan = Plan(options.faults or 0, "soak", seconds, tuple(faults), ())
    folder = run_folder("soak-", options.keep)
    try:
        gauge = asyncio.run(_run(folder, plan))
        verdict = check.judge(folder)
    except (AssertionError, OSError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}\nkept in {folder}")
        return 2
    values = verdict.report.truths
    print(f"{options.hours:g} h, {len(gauge.spool_bytes)} samples", *gauge.table(values), verdict.text(), sep="\n")
    print(f"kept in {folder}")
    return 0 if gauge.flat(values) and verdict.ok else 1


async def _run(folder: Path, plan: Plan) -> Gauge:
    world = World(folder, plan.seed, plan.family)
    async with world.running():
        await until_online(world)
        gauge = Gauge.of(world)
        async with asyncio.TaskGroup() as tasks:
            looking = tasks.create_task(world.keep_looking(), name="look")
            sampling = tasks.create_task(_keep_sampling(gauge, plan.seconds), name="sample")
            await suffer(world, plan)
            for task in (looking, sampling):
                task.cancel()
        await rest(world)
        dump(world)
    return gauge


async def _keep_sampling(gauge: Gauge, seconds: float) -> None:
    pause_s = min(SAMPLE_S_MAX, seconds / SAMPLES_MIN)
    while True:
        await asyncio.sleep(pause_s)
        await asyncio.to_thread(gauge.sample)


def _mild(seed: int, seconds: float) -> Iterator[Fault]:
    return (fault for fault in draw(seed, seconds, "network").faults if fault.kind in MILD)


def _entries(pid: int, what: str) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/{what}").iterdir())


def _latency_ms(world: World) -> float:
    """How old the newest row is now: between nothing and a batch's age, and what its way takes."""
    query = urllib.parse.urlencode({"db": DATABASE, "epoch": "ms", "q": 'SELECT last("temperature") FROM "weather"'})
    with urllib.request.urlopen(f"{world.influxd.url}/query?{query}", timeout=HTTP_S) as answer:
        (result,) = json.load(answer)["results"]
    assert "series" in result, "nothing is stored"
    return float(now_ms() - result["series"][0]["values"][0][0])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.gauntlet.soak", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--faults", type=int, metavar="SEED", help="mild faults of the network, drawn from this seed")
    parser.add_argument("--keep", type=Path, help="where the run's folder is made")
    return parser


if __name__ == "__main__":
    started = time.monotonic()
    code = main()
    print(f"took {time.monotonic() - started:.0f} s")
    sys.exit(code)
