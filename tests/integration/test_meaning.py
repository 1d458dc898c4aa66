"""What a site makes of values, as real processes: simulators, gateway, mosquitto, ingest, InfluxDB.

Corrected, raw, computed, folded and left out: every value in the database is held against what the simulators served
(their truth log), with arithmetic of this test's own. Beside them a bus that cannot carry its `fast`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from gateway.app.demo_site import ioc_text
from tests.support import store_points
from tests.support.chain import Command, wait_until
from tests.support.servers import Influxd, Mosquitto, free_port

pytestmark = [pytest.mark.timeout(180), pytest.mark.server]

GATEWAY = "meaning-1"
SLOPE, DATUM = 1.02, -0.35
WINDOW_MS, SLACK_MS = 2000, 100  # between what the simulator calls its first byte and what the gateway does
CHANGE, CHANGE_MS, STEADY_MS = 0.25, 5000, 2000
EXACT = 1e-9
READINGS = 24
SITE = """config_version = 1
[gateway]
id = "{gateway}"
[clock]
trust = "system"
[spool]
path = "{folder}/spool"
quota = "100 MB"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:{broker}"
[[bus]]
name = "drain"
host = "127.0.0.1:{drain}"
{devices}
[[bus]]
name = "narrow"
host = "127.0.0.1:{narrow}"
{narrow_devices}
"""
DEVICE = """[[device]]
name = "{name}"
bus = "{bus}"
unit_id = {unit_id}
profile = "qdy/qdy30a@1"
every = "{every}"
"""
CORRECT = f"fields.level.correct = {{ slope = {SLOPE}, datum = {DATUM}, keep_raw = true }}\n"
DERIVED = """[device.derived.{name}]
formula = "{formula}"
quantity = "distance"
unit = "m"
decimals = 4
"""
FREEBOARD, DROP = (
    DERIVED.format(name="freeboard", formula="3 - level"),
    DERIVED.format(name="drop", formula="max(level, 0) - steady.level / 2"),
)
MEANT: Mapping[str, str] = {
    "plain": CORRECT + FREEBOARD + DROP,
    "folded": f'report = {{ every = "2s" }}\n{CORRECT}{FREEBOARD}',
    "moved": f'report = {{ change = {CHANGE}, at_least = "5s" }}\n',
    "steady": 'report = { change = 0.25, at_least = "2s" }\n',
}
SIGNALS = """[signal]
"plain.level" = { kind = "ramp", start = 0.1, step = 0.0213 }
"folded.level" = { kind = "ramp", start = 0.2, step = 0.0317 }
"moved.level" = { kind = "ramp", start = 0.3, step = 0.07 }
"steady.level" = { kind = "constant", value = 1.2 }
"""
HURRIED = 'fast = { when = "level > 0.01", every = "50ms" }\n'
NARROW = 20  # devices; 50 ms for all of them is more than a bus has


@dataclass(frozen=True, slots=True)
class Found:
    """What was served, and what the database has of it."""

    truths: Mapping[str, Sequence[tuple[int, float]]]  # of each device: (ms UTC, level)
    rows: Mapping[str, Sequence[tuple[int, Mapping[str, object]]]]  # (ms UTC, fields)
    events: Sequence[tuple[str, str]]  # (subject, code)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """One run of some seconds, stopped as systemd would."""
    folder = tmp_path_factory.mktemp("meaning")
    truth, site, simulated, ioc = (folder / name for name in ("truth", "site.toml", "simulated.toml", "ioc.toml"))
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder))
        influxd = stack.enter_context(Influxd(folder))
        influxd.create_database("city")
        text = _site(folder, broker.port)
        site.write_text(text)
        simulated.write_text(text + SIGNALS)
        ioc.write_text(ioc_text(folder, broker.port, f'url = "http://127.0.0.1:{influxd.port}"\ndatabase = "city"'))
        simulators = Command(folder, "simulators", "simulators", str(simulated), "--truth", str(truth))
        ingest = Command(folder, "ingest", "gateway", "ioc", "ingest", str(ioc), "--name", "ingest-1")
        gateway = Command(folder, "gateway", "gateway", "run", str(site))
        for command in (simulators, ingest, gateway):
            stack.callback(command.kill)
            command.start()
        try:
            wait_until(lambda: len(_truths(truth).get("plain", ())) >= READINGS, 60, "readings")
            gateway.stop()
            simulators.stop()
            last_ms = _truths(truth)["plain"][-1][0]
            wait_until(
                lambda: any(at >= last_ms - SLACK_MS for at, _ in _rows(influxd).get("plain", ())), 20, "the last row"
            )
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{gateway.tail()}\n{ingest.tail()}") from failure
        yield Found(_truths(truth), _rows(influxd), _events(influxd))


def test_corrected_raw_and_computed_values(found: Found) -> None:
    """Each reading is one row: as served, as corrected, and what follows from its own and its neighbour's value."""
    rows, truths = found.rows["plain"], found.truths["plain"]
    assert len(rows) == len(truths) >= READINGS
    for (at, row), (served_at, raw) in zip(rows, truths, strict=True):
        level = raw * SLOPE + DATUM
        assert abs(at - served_at) <= SLACK_MS
        assert row["level_raw"] == pytest.approx(raw, abs=EXACT)
        assert row["level"] == pytest.approx(level, abs=EXACT)
        assert row["freeboard"] == pytest.approx(3 - level, abs=EXACT)
    drops = [(row["drop"], float(str(row["level"]))) for _, row in rows if row.get("drop") is not None]
    assert len(drops) >= len(rows) - 2  # the neighbour may be read for the first time behind it
    for drop, own in drops:
        assert drop == pytest.approx(max(own, 0.0) - 0.6, abs=EXACT)


def test_folded_values(found: Found) -> None:
    """Every reading is in exactly one window, the one of its time; mean, least, most and count are of these."""
    left = list(found.truths["folded"])
    windows = found.rows["folded"]
    assert len(windows) >= 3
    assert {later - earlier for (earlier, _), (later, _) in pairwise(windows[:-1])} == {WINDOW_MS}
    for end, row in windows:
        count = int(str(row["level_n"]).removesuffix(".0"))
        own, left = left[:count], left[count:]
        assert count == len(own) > 0
        assert all(end - WINDOW_MS - SLACK_MS < at <= end + SLACK_MS for at, _ in own)
        raws = [raw for _, raw in own]
        for name, values in (
            ("level_raw", raws),
            ("level", [raw * SLOPE + DATUM for raw in raws]),
            ("freeboard", [3 - raw * SLOPE - DATUM for raw in raws]),
        ):
            told = [row[name], row[f"{name}_min"], row[f"{name}_max"], row[f"{name}_n"]]
            assert told == pytest.approx([sum(values) / count, min(values), max(values), count], abs=1e-6), name
    assert left == []


def test_values_that_are_sent_when_they_move(found: Found) -> None:
    """The first, and each that is so far from the last one sent; a steady one so often as was promised, no oftener."""
    sent: list[float] = []
    for _, level in found.truths["moved"]:
        if not sent or abs(level - sent[-1]) >= CHANGE:
            sent.append(level)
    assert [row["level"] for _, row in found.rows["moved"]] == pytest.approx(sent, abs=EXACT)
    steady = [at for at, _ in found.rows["steady"]]
    assert len(steady) >= 3
    assert {row["level"] for _, row in found.rows["steady"]} == {1.2}
    assert all(STEADY_MS - SLACK_MS <= later - earlier <= STEADY_MS + 600 for earlier, later in pairwise(steady))


def test_a_fast_that_does_not_fit_is_told(found: Found) -> None:
    """`fast_refused` reaches the database, of each device; none is polled faster."""
    narrow = {f"narrow-{at}" for at in range(NARROW)}
    assert sorted(found.events) == sorted((name, "fast_refused") for name in narrow)
    for name in narrow:
        times = [at for at, _ in found.truths[name]]
        assert all(later - earlier >= 500 for earlier, later in pairwise(times))


def _site(folder: Path, broker: int) -> str:
    drain = "".join(
        DEVICE.format(name=name, bus="drain", unit_id=unit_id, every="500ms") + meant
        for unit_id, (name, meant) in enumerate(MEANT.items(), 1)
    )
    narrow = "".join(
        DEVICE.format(name=f"narrow-{at}", bus="narrow", unit_id=at + 1, every="1s") + HURRIED for at in range(NARROW)
    )
    return SITE.format(
        gateway=GATEWAY,
        folder=folder,
        broker=broker,
        drain=free_port(),
        narrow=free_port(),
        devices=drain,
        narrow_devices=narrow,
    )


def _truths(path: Path) -> dict[str, list[tuple[int, float]]]:
    truths: dict[str, list[tuple[int, float]]] = {}
    for line in path.read_bytes().split(b"\n")[:-1] if path.exists() else ():
        said = orjson.loads(line)
        if said.get("field") == "level":
            truths.setdefault(said["device"], []).append((said["utc_ms"], said["value"]))
    return truths


def _rows(influxd: Influxd) -> dict[str, list[tuple[int, Mapping[str, object]]]]:
    rows: dict[str, dict[int, dict[str, object]]] = {}
    for point in store_points.from_influx(f"http://127.0.0.1:{influxd.port}", "city", GATEWAY):
        rows.setdefault(point.device, {}).setdefault(point.at_ms, {})[point.field] = point.value
    return {device: sorted(own.items()) for device, own in rows.items()}


def _events(influxd: Influxd) -> list[tuple[str, str]]:
    said = influxd.query("city", "SELECT subject, code, detail FROM gw_event")
    columns, values = said[0]["columns"], said[0]["values"]
    assert isinstance(columns, list)
    assert isinstance(values, list)
    events = [dict(zip(columns, row, strict=True)) for row in values]
    return [(event["subject"], event["code"]) for event in events if event["code"].startswith("fast")]
