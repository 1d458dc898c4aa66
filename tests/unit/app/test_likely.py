"""gateway.app.likely: rows that look like those of the simulators, which were made for another purpose."""

import zlib
from collections.abc import Iterator
from itertools import islice, pairwise, takewhile
from pathlib import Path

import pytest

from gateway.app import demo_site, likely
from gateway.config.compile import compile_simulator_file
from gateway.model import Row, UtcMs, Value
from gateway.pipeline.judge import Judge
from gateway.pipeline.packer import Packer
from gateway.profile.profile import Field
from gateway.site import Site
from simulators.signals import Moment, signal_for
from tests.support.written import write

NOON = 1_795_521_600_000


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The demo's: meters, relays, weather, two streams; at 10 s."""
    text = demo_site.site_text(tmp_path, 1883, (1502, 1503)).replace('every = "1s"', 'every = "10s"')
    return compile_simulator_file(write(tmp_path / "site.toml", text)).site


def test_rows_come_in_order_and_are_believed(site: Site) -> None:
    """Every group at its period, times that rise, no value that a judge would take away."""
    judge, seen = Judge(site), dict[str, list[int]]()
    rows = list(islice(likely.rows(site), 2000))
    assert [row.at for row in rows] == sorted(row.at for row in rows)
    for row in rows:
        judged = judge.judge(row)
        assert judged.row == row
        seen.setdefault(f"{row.group.device} {row.group.fields[0]}", []).append(row.at)
    groups = [polled for bus in site.buses for device in bus.devices for polled in device.polled]
    assert len(seen) == len(groups)
    for polled in groups:
        times = seen[f"{polled.group.device} {polled.group.fields[0]}"]
        assert all(abs(after - before - polled.period_ms) <= 3 for before, after in pairwise(times))


def test_they_are_the_same_each_time(site: Site) -> None:
    """An estimate does not change from one call to the next."""
    assert list(islice(likely.rows(site), 300)) == list(islice(likely.rows(site), 300))


@pytest.mark.parametrize("max_age_ms", [1000, 10_000, 60_000])
def test_they_compress_as_simulated_ones_do(site: Site, max_age_ms: int) -> None:
    """Within a twentieth, whatever the size of a batch."""
    made_up = list(takewhile(lambda row: row.at < 600_000, likely.rows(site)))
    ratio = _packed(made_up, max_age_ms) / _packed(list(_simulated(site, made_up)), max_age_ms)
    assert ratio == pytest.approx(1, abs=0.05)


def _packed(rows: list[Row], max_age_ms: int) -> int:
    packer, size = Packer("boot", max_age_ms=max_age_ms), 0
    for row in rows:
        size += sum(len(draft.body) for draft in packer.due(row.at, online=True) + packer.add(row))
    return size


def _simulated(site: Site, rows: list[Row]) -> Iterator[Row]:
    """The same rows, with what the simulated devices would have said."""
    fields = {polled.group: polled.fields for bus in site.buses for device in bus.devices for polled in device.polled}
    signals = {
        (group.device, field.name): signal_for(group.device, field, zlib.crc32(b"seed"))
        for group, members in fields.items()
        for field in members
    }
    for row in rows:
        shown = fields[row.group][: len(row.values)]
        moment = Moment(UtcMs(NOON + row.at))
        values = (_rounded(field, signals[row.group.device, field.name](moment)) for field in shown)
        yield Row(row.group, row.at, tuple(values))


def _rounded(field: Field, value: Value) -> Value:
    return value if isinstance(value, bool | str) else round(value, field.decimals)
