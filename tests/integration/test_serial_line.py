"""Two weather stations on one serial line, from their own frames to rows: simulated on a terminal, one of them ill."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeAlias

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_simulator_file
from gateway.counters import Counters
from gateway.site import Site
from gateway.south.bus import loops
from tests.integration.test_simulators import Rows, asked_at, head, simulators
from tests.support import checker

TURNS, TURN_S = 600, 0.1
Enough: TypeAlias = Sequence[tuple[str, Mapping[str, str], int]]  # a counter, and how much
SKY_1: Enough = [("rows", {"device": "sky-1"}, 6)]
SKY_2: Enough = [("rows", {"device": "sky-2"}, 6)]


def _site(folder: Path, fault: str) -> str:
    devices = "".join(
        f'[[device]]\nname = "{name}"\nbus = "mast"\nprofile = "vaisala/wxt520@1"\n'
        f'address = "{address}"\nevery = "500ms"\n'
        for name, address in (("sky-1", "0"), ("sky-2", "1"))
    )
    return f'{head(folder)}[[bus]]\nname = "mast"\nport = "{folder}/mast"\n{devices}[fault.sky-2]\n{fault}\n'


async def _read(site: Site, counters: Counters, enough: Enough) -> Rows:
    """Until each of these counters has become so much."""
    clock = SystemClock("system")
    rows = Rows(clock)
    (bus,) = loops(site, clock, counters, Random(7), rows.rows.append, lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(bus.run(), name=bus.name)
        for _ in range(TURNS):
            await asyncio.sleep(TURN_S)
            if all(counters.get(name, bus="mast", **labels) >= n for name, labels, n in enough):
                break
        bus.stop()
    return rows


def _run(folder: Path, fault: str, enough: Enough) -> tuple[checker.Report, Counters]:
    path, counters = folder / "site.toml", Counters()
    path.write_text(_site(folder, fault))
    with simulators(path, "--seed", "5") as endpoints:
        site = asked_at(compile_simulator_file(path).site, endpoints)
        rows = asyncio.run(_read(site, counters, enough))
    return checker.check(checker.read_truth(folder / "truth"), list(rows.points())), counters


def test_a_station_that_answers_too_late_spoils_nobody(tmp_path: Path) -> None:
    """P8 on a shared line: its replies come while the other is asked, and are neither's values at a wrong time."""
    report, counters = _run(tmp_path, 'kind = "late"\nby_ms = 1800', [*SKY_1, ("talks_late", {}, 1)])
    assert report.matched
    assert [str(one) for one in report.offences if one.what != "missing"] == []
    assert counters.get("talks_uncertain", bus="mast") >= 1
    assert counters.get("rows", bus="mast", device="sky-2") == 0
    assert counters.get("rows", bus="mast", device="sky-1") > 5


def test_noise_before_its_answers_costs_nothing(tmp_path: Path) -> None:
    """What is no frame with a good checksum is passed over."""
    report, counters = _run(tmp_path, 'kind = "garbage"\nsize = 9', [*SKY_1, *SKY_2])
    assert report.matched
    assert [str(one) for one in report.offences if one.what != "missing"] == []
    assert counters.get("rows", bus="mast", device="sky-2") > 5


def test_an_echo_of_the_line_costs_nothing(tmp_path: Path) -> None:
    """A two-wire adapter that hears itself."""
    report, counters = _run(tmp_path, 'kind = "echo"', [*SKY_1, *SKY_2])
    assert report.matched
    assert [str(one) for one in report.offences if one.what != "missing"] == []
    assert counters.get("rows", bus="mast", device="sky-2") > 5
