"""The embedded store beside influxd 1.6.7: the same requests, the same outcomes, the same answers."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from gateway.clock.kernel import SystemClock
from gateway.errors import StoreRefused
from gateway.ioc.store.base import Store
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Detail, Gap, SeqRanges, UtcMs
from gateway.wire.body import BodyEvent
from gateway.wire.line_protocol import (
    batch_point,
    epoch_points,
    event_points,
    gap_points,
    not_kept_points,
    point,
    status_point,
)
from tests.support.ioc import EPOCH, GATEWAY, make_batch
from tests.support.servers import Influxd

pytestmark = pytest.mark.server
CLOCK = SystemClock("system")
NOW = UtcMs(CLOCK.utc_ms() // 1000 * 1000)
TEXTS = (
    "",
    "a",
    'say "so"',
    "back\\slash",
    "\\",
    "comma, space = sign",
    "Cống Lê Lợi 🌊",
    "x" * 200,
    "tab\there",
    "two\nlines",
)
NUMBERS = (0.0, -0.0, 1.0, 50.0, 1e-300, 1.7976931348623157e308, 230.123456789, -273.15, 2.0**53)
NAMES = ("voltage", "frequency", "on", "note", "qc")
DEVICES = ("meter-1", "odd name", "with,comma", "with=sign")
BAD = (b"m", b"m f=", b"m f=NaN 1", b"m f=1u 1", b"m,t= f=1 1", b'm f="open 1', b"m f=1 1 1", b"m f=1 x")


@dataclass(frozen=True)
class Both:
    """Two stores that are told and asked the same."""

    embedded: Store
    influx: Store

    async def write(self, lines: list[bytes], precision: str) -> str:
        """What both answer: "" or the reason of a refusal."""
        answers = [await _answer(store, lines, precision) for store in (self.embedded, self.influx)]
        assert answers[0] == answers[1], lines
        return answers[0]


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """One server; each test has its own database."""
    with Influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture
async def both(influxd: Influxd, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Both]:
    """Both empty."""
    name = f"d{crc32(request.node.name.encode())}"
    influxd.create_database(name)
    made = Both(SqliteStore(tmp_path / "s"), InfluxStore(InfluxSettings(influxd.url, name), CLOCK))
    yield made
    await made.embedded.close()
    await made.influx.close()


async def test_random_requests_are_answered_alike(both: Both) -> None:
    """Merges, doubles in one request, odd names and texts, type conflicts: outcome by outcome, point by point."""
    random, refused = Random(7), 0
    for _ in range(150):
        lines = [_line(random) for _ in range(random.randint(1, 6))]
        refused += bool(await both.write(lines, "ms"))
    assert 20 < refused < 140
    for device in DEVICES:
        rows = [await _rows(store, device) for store in (both.embedded, both.influx)]
        assert rows[0] == rows[1]
        assert rows[0]


@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_line_is_refused_alike(both: Both, bad: bytes) -> None:
    """With a good one beside it, which is stored."""
    good = point("m", {"gateway": GATEWAY, "device": "meter-1"}, {"f": 1.5}, NOW)
    await both.write([good, bad], "ms")
    for store in (both.embedded, both.influx):
        assert [row async for row in store.rows("m", GATEWAY, "meter-1")] == [(NOW, {"f": 1.5})]


async def test_the_ledger_is_read_alike(both: Both) -> None:
    """Batches, twice with one crc and with two, gaps, events and statuses: what an audit is made of."""
    made = [make_batch(seq, t0=NOW - 1000 * (seq % 5)) for seq in (1, 2, 3, 7, 8, 2)]
    made += [make_batch(3, t0=NOW + 5), make_batch(1, epoch="other0", t0=NOW)]
    gaps = [Gap(EPOCH, 4, 5, 70, UtcMs(NOW - 9), UtcMs(NOW), "quota"), Gap("old000", 1, 2, None, None, None, "corrupt")]
    lines = [batch_point(batch, 0) for batch in made] + gap_points(made[0], gaps)
    lines += event_points(made[0], [BodyEvent(-500, "", "restart", "1.0"), BodyEvent(-500, "", "restart", ("a", 1))])
    lines += not_kept_points(GATEWAY, EPOCH, SeqRanges(((9, 9), (11, 12))), NOW)
    for at, last in ((NOW - 60_000, 5), (NOW, 8)):
        epochs = [{"epoch": EPOCH, "first_kept": 1, "last": last, "pending": [[6, 6]], "parked": []}]
        lines.append(status_point(GATEWAY, {"online": True, "epochs": epochs, "oldest_age_ms": 5}, UtcMs(at)))
    for at, last in ((NOW - 3_600_000, 5), (NOW - 1_800_000, 8), (NOW, 8)):
        lines += epoch_points(GATEWAY, [(EPOCH, last), ("gone00", 3)], UtcMs(at))
    assert await both.write(lines, "ns") == ""
    pairs = await both.embedded.gateways()
    assert pairs == await both.influx.gateways()
    assert {epoch for _, epoch in pairs} == {EPOCH, "other0", "old000"}
    for _, epoch in pairs:
        assert await both.embedded.ledger(GATEWAY, epoch) == await both.influx.ledger(GATEWAY, epoch)
        assert await both.embedded.gaps(GATEWAY, epoch) == await both.influx.gaps(GATEWAY, epoch)
    for span in ((NOW - 3_000, NOW - 1_000), (NOW - 9_000, NOW - 8_000), (NOW, NOW + 9), (NOW + 9, NOW + 99)):
        from_ms, to_ms = map(UtcMs, span)
        for _, epoch in pairs:
            found = await both.embedded.around(GATEWAY, epoch, from_ms, to_ms)
            assert found == await both.influx.around(GATEWAY, epoch, from_ms, to_ms)
    issued = await both.embedded.issued(GATEWAY)
    assert issued == await both.influx.issued(GATEWAY)
    assert {epoch: told.last for epoch, told in issued.items()} == {EPOCH: 8, "gone00": 3}
    assert issued[EPOCH].at_ms < NOW - 1_000_000
    assert await both.embedded.statuses(GATEWAY, 9) == await both.influx.statuses(GATEWAY, 9)


async def test_any_ledger_is_read_alike(both: Both) -> None:
    """Holes, times that go back, seqs that stand there twice: in runs or point by point, it is the same sum."""
    random = Random(11)
    for number in range(40):
        epoch, seqs = f"e{number}", [seq for seq in range(1, 60) if random.random() < random.choice((0.5, 0.9, 1.0))]
        cut = random.randint(1, len(seqs))  # a clock that went back: the later ones come first
        seqs = [*seqs[cut:], *seqs[:cut]] if number % 3 == 1 else seqs
        seqs += random.sample(seqs, 3) if number % 4 == 3 else []
        made = [make_batch(seq, epoch=epoch, t0=NOW + 1000 * at) for at, seq in enumerate(seqs)]
        assert await both.write([batch_point(batch, 0) for batch in made], "ns") == ""
        found = await both.influx.ledger(GATEWAY, epoch)
        assert found.seqs == SeqRanges.of_seqs(seqs)
        assert found == await both.embedded.ledger(GATEWAY, epoch)


async def test_events_are_read_alike(both: Both) -> None:
    """Of one code and one gateway, both ends included, in time order: subject and detail are as they were written."""
    details: tuple[Detail, ...] = ("", "1.0", 'say "so"', ("a", 1), (86_400, 82_800, 3_600_000))
    at = [-3000, -2000, -2000, -1000, 0]
    lines: list[bytes] = []
    for seq, (gateway, clock) in enumerate([(GATEWAY, "ntp"), (GATEWAY, "unset"), ("hc-0002", "ntp")], 1):
        batch = make_batch(seq, gateway=gateway, t0=NOW, clock=clock)
        for code in ("measured", "restart"):
            told = zip(at, ("", "level-1", "odd name", "", "level-1"), details, strict=True)
            lines += event_points(batch, [BodyEvent(ms, subject, code, detail) for ms, subject, detail in told])
    assert await both.write(lines, "ns") == ""
    everything = 2 * len(at)
    for span, count in (
        ((-9000, 9000), everything),
        ((-3000, 0), everything),
        ((-2000, -1000), 6),
        ((-2999, -2001), 0),
        ((-999, -1), 0),
        ((1, 9), 0),
    ):
        from_ms, to_ms = (UtcMs(NOW + ms) for ms in span)
        found = await both.embedded.events(GATEWAY, "measured", from_ms, to_ms)
        assert found == await both.influx.events(GATEWAY, "measured", from_ms, to_ms)
        assert len(found) == count
        assert [one.at_ms for one in found] == sorted(one.at_ms for one in found)
    whole = await both.embedded.events(GATEWAY, "measured", UtcMs(NOW - 1000), NOW)
    assert {(one.subject, one.detail) for one in whole} == {("", '["a",1]'), ("level-1", "[86400,82800,3600000]")}
    assert await both.influx.events(GATEWAY, "never", UtcMs(0), NOW) == []


def _line(random: Random) -> bytes:
    tags = {"gateway": GATEWAY, "device": random.choice(DEVICES), "clock": random.choice(("", "", "unset"))}
    names = random.sample(NAMES, random.randint(1, len(NAMES)))
    fields = {name: _value(random, name) for name in names}
    return point("energy meter", tags, fields, NOW + random.randint(0, 5))


def _value(random: Random, name: str) -> float | bool | str:
    """Of the type of its name, nearly always."""
    kind = random.choice(NAMES) if random.random() < 0.05 else name
    if kind == "on":
        return random.random() < 0.5
    return random.choice(TEXTS) if kind in {"note", "qc"} else random.choice(NUMBERS)


async def _answer(store: Store, lines: list[bytes], precision: str) -> str:
    try:
        await store.write(lines, precision)
    except StoreRefused as refused:
        return refused.reason
    return ""


async def _rows(store: Store, device: str) -> list[str]:
    """Sorted, because rows of two series may share a time; -0.0 is 0 to InfluxDB, and a whole number has no point."""
    found = []
    async for at, fields in store.rows("energy meter", GATEWAY, device):
        plain = {
            name: value if isinstance(value, bool | str) else float(str(value)) + 0.0 for name, value in fields.items()
        }
        found.append(repr((at, sorted(plain.items()))))
    return sorted(found)
