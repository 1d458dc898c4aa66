"""What strangers send: any bytes at any parser give a value or an error of ours, and text stays where it belongs.

`tests/property` holds what the formats promise; here they are met by somebody who wants something else.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control import protocol
from gateway.errors import BadReply, DeviceException, Malformed, StoreBusy
from gateway.ioc.check import Accepted, DeadLetter, Document, Refuse, check
from gateway.ioc.store import influxql
from gateway.ioc.store.influxql import gaps, ledger, rows, statuses
from gateway.ioc.store.point import parse
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Batch, BootMs, Event, Group, Row, UtcMs
from gateway.protocols import modbus_pdu
from gateway.protocols.checksums import crc16_bytes
from gateway.protocols.modbus_exchange import ExchangeReader
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table, WriteRegisters, encode_request
from gateway.seams import Message
from gateway.site import loads
from gateway.south.jobs.traced import Decoder
from gateway.south.links.trace import Chunk
from gateway.south.reads.memory import Memory, Wanted
from gateway.south.reads.plan import line_cost
from gateway.testing.worker import InlineWorker
from gateway.wire import batch as batches
from gateway.wire import catalog, command, line_protocol, receipt, status_reader
from gateway.wire.body import BodyWriter
from gateway.wire.topic import Topics, gateway_of
from simulators.commands import Commands
from simulators.in_force import InForce
from simulators.knobs import Knob
from simulators.recording import BadTrace, recording
from simulators.targets import targets_of
from tests.support.ioc import EPOCH, GATEWAY, ROOT, T0, make_batch, message, numbered, raw_batch
from tests.support.south import a_bus, a_source
from tests.support.sunspec import sunspec_device
from tests.unit.simulators.worlds import METER, VOLTAGE, bus, modbus_device, site

MANY = settings(max_examples=150, deadline=None)
NASTY = ("a\nb", 'a"b', "a'b", "a,b", "a b", "a=b", "a\\", "a\\\n", "';DROP", '"; --', "+", "#", "a/b", "$share/x", "")


def _json(value: object) -> bytes:
    """As JSON; what JSON has no word for becomes something else that is wrong."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS) if _fits(value) else b"[1e999]"


def _fits(value: object) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:  # a huge integer, half a surrogate pair
        return False
    return True


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20))
KEYS = st.sampled_from(
    [
        *("v", "gw", "epoch", "seq", "n", "t0", "clock", "pri", "enc", "crc", "of", "g", "e", "x", "d", "k"),
        *(
            "p",
            "f",
            "t",
            "r",
            "q",
            "stored",
            "rejected",
            "refused",
            "by",
            "now",
            "id",
            "name",
            "arguments",
            "expires",
            "ok",
            "code",
        ),
        *("online", "boot", "version", "epochs", "pending", "devices", "fields", "time", "last", "data", "error"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=6)),
    max_leaves=25,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=12).map(lambda found: {"v": 1} | found)
BYTES = st.one_of(st.binary(max_size=300), OBJECTS.map(_json), VALUES.map(_json))
DECODERS: tuple[Callable[[bytes], object], ...] = (
    batches.decode,
    receipt.decode,
    command.decode,
    command.decode_outcome,
    status_reader.decode_status,
    catalog.decode_catalog,
    protocol.decode_request,
    protocol.decode_answer,
)


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: f"{decode.__module__}.{decode.__name__}")
@MANY
@given(data=BYTES)
def test_any_bytes(decode: Callable[[bytes], object], data: bytes) -> None:
    """A value, or Malformed; nothing else leaves a decoder."""
    try:
        decode(data)
    except Malformed:
        return


@pytest.mark.parametrize("topic", ["up/data", "up/status", "up/catalog", "up/outcome", "down/receipt", "x"])
@MANY
@given(data=BYTES, head=st.booleans())
def test_ingest_judges_any_bytes(topic: str, data: bytes, head: bool) -> None:
    """A verdict, whatever comes; behind a good header too. What is refused is refused under the sender's name."""
    if head and topic == "up/data":
        data = batches.encode(raw_batch(7, orjson.loads(data) if _is_json(data) else "no", 1))
    verdict = check(Message(f"{ROOT}/{GATEWAY}/{topic}", data, 1, 1), ROOT, frozenset(), T0)
    assert isinstance(verdict, Accepted | Refuse | Document | DeadLetter)
    if isinstance(verdict, Refuse):
        assert verdict.batch_id.gateway == GATEWAY
    if isinstance(verdict, Accepted):
        assert all(b"gateway=hc-0001" in line for line in (*verdict.rows, *verdict.gaps, *verdict.events))


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


# --- the wire, and files about it -------------------------------------------------------------------------------------

READS = (b"\x01\x03\0\x10\0\2", b"\x01\x04\0\0\0\x7d", b"\x01\x01\0\0\0\x09", b"\x01\x2b\x0e\1\0")
LINE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([body + crc16_bytes(body) for body in (*READS, b"\x01\x03\x04\0\1\0\2", b"\x01\x83\2")]),
    st.sampled_from([b"\0\1\0\0" + len(body).to_bytes(2) + body for body in READS]),
)
PIECES = st.lists(st.tuples(LINE, st.booleans(), st.integers(0, 10**9)), max_size=20)


@MANY
@given(pdu=st.binary(max_size=260))
def test_any_request(pdu: bytes) -> None:
    """A request that is these bytes again, or BadReply and the exception for it."""
    try:
        request = modbus_pdu.decode_request(pdu)
    except BadReply:
        assert modbus_pdu.refusal(pdu) in {modbus_pdu.ILLEGAL_FUNCTION, modbus_pdu.ILLEGAL_VALUE}
    else:
        assert modbus_pdu.encode_request(request) == pdu


@MANY
@given(pdu=st.one_of(st.binary(max_size=260), st.binary(max_size=250).map(lambda data: b"\x2b\x0e\1" + data)))
def test_any_reply(pdu: bytes) -> None:
    """Data of the right length, an exception of the device, or BadReply."""
    for request in (ReadRequest(Table.HOLDING, 0, 2), ReadDeviceId(), WriteRegisters(0, (1,))):
        with contextlib.suppress(BadReply, DeviceException):
            data = modbus_pdu.reply_data(request, pdu)
            assert len(pdu) - len(data) in {1, 2, 3}


@MANY
@given(pieces=PIECES)
@pytest.mark.parametrize("transport", ["rtu", "tcp", "rtu_over_tcp", "stream", "?"])
@pytest.mark.parametrize("listens", [False, True])
def test_a_trace_of_anything(transport: str, listens: bool, pieces: list[tuple[bytes, bool, int]]) -> None:
    """Every byte is told once, in order, whatever it is taken for; times of strangers may go back."""
    decoder = Decoder(transport, listens=listens)
    said = [one for data, sent, at_ns in pieces if data for one in decoder.feed(Chunk(at_ns, sent, data))]
    said += decoder.quiet(1 << 63)
    assert b"".join(one.data for one in said) == b"".join(data for data, _, _ in pieces)


@MANY
@given(pieces=PIECES)
def test_a_line_of_anything_overheard(pieces: list[tuple[bytes, bool, int]]) -> None:
    """Exchanges of requests that somebody made, or counted bytes."""
    reader, now_ns = ExchangeReader(char_ns=1_146_000, reply_max_ns=10**9, began_ns=0), 0
    for data, quiet, pause_ns in pieces:
        now_ns += pause_ns
        for exchange in reader.quiet(now_ns) if quiet or not data else reader.feed(data, now_ns):
            with contextlib.suppress(BadReply, DeviceException):
                exchange.data()


@MANY
@given(lines=st.lists(st.one_of(st.text(max_size=30), VALUES.map(lambda value: _json(value).decode())), max_size=5))
def test_a_recording_of_anything(lines: list[str]) -> None:
    """BadTrace is all that comes of it."""
    head = '{"v":1,"bus":"b","transport":"rtu","line":"9600 8N1"}'
    for text in (lines, [head, *lines]):
        with contextlib.suppress(BadTrace):
            recording(text)


@MANY
@given(
    kept=st.fixed_dictionaries(
        {},
        optional={
            "latency_ms": SCALARS,
            **dict.fromkeys(
                ("once", "refused", "holes"),
                st.lists(
                    st.tuples(st.sampled_from(["holding", "coil", "x"]), *[st.integers(-1, 70_000)] * 2).flatmap(
                        lambda span: st.lists(st.integers(0, 10**9), max_size=2).map(lambda rest: [*span, *rest])
                    ),
                    max_size=4,
                ),
            ),
            "limit": st.one_of(SCALARS, st.lists(st.integers(0, 200), max_size=2)),
            "model_at": st.one_of(SCALARS, st.integers(-1, 70_000)),
        },
    )
)
def test_any_memory_of_a_device(kept: dict[str, object]) -> None:
    """It is taken in or it is not; with either, the bus has reads to make, each in a bounded time."""
    device = sunspec_device()
    memory = Memory(device, line_cost(a_bus(device), a_source()))
    empty: dict[str, object] = {"latency_ms": None, "once": [], "refused": [], "holes": [], "limit": None}
    whose = {"device": "m", "profile": "test/thing@1", "variant": "", "unit_id": 1}
    with contextlib.suppress(ValueError):
        memory.load(whose | empty | kept, BootMs(0))
    wanted = Wanted(device.polled[0].fields)
    reads = memory.reads(wanted, BootMs(3_600_001))
    assert reads
    assert memory.place.at is None or [encode_request(memory.place.moved(read.request)) for read in reads]
    assert memory.cost_ms(wanted, BootMs(3_600_001)) < 60_000
    assert orjson.loads(orjson.dumps(memory.dump(BootMs(3_600_001))))


@MANY
@given(line=st.one_of(st.text(max_size=60), st.sampled_from(["[", "{a=", "'", "1,"]).map(lambda sign: sign * 4000)))
@pytest.mark.parametrize("command", ["set meter-1.voltage ", "fault meter-1 late by_ms=", ""])
def test_any_line_to_simulators(command: str, line: str) -> None:
    """An answer: it never raises."""
    in_force = InForce(1)
    knob = Knob("meter-1.voltage", VOLTAGE, lambda _: 230.0, in_force, lambda: 0)
    world = site(bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER)))
    made = Commands(targets_of(world), {"meter-1.voltage": knob}, in_force)
    assert made.answer(command + line, 0)[-1].startswith(("ok", "error: "))


@MANY
@given(data=BYTES)
def test_a_last_good_site_of_any_content(data: bytes) -> None:
    """ValueError, which starts a compilation: a torn file must not keep a box down."""
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is all that its reader asks
        loads(data)


@MANY
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(NASTY))
def test_a_devices_text_stays_in_its_field(text: str, detail: str, nasty: str) -> None:
    """From the bus to a point of the store: one line is one point with these tags and this text, or it is refused."""
    group = Group("meter-1", "probe", "acme/probe@1", ("note", "other"), "ss")
    writer, values = BodyWriter(BootMs(0)), (text + nasty, "fine")
    try:
        writer.add(Row(group, BootMs(0), values))
    except ValueError:  # a text that no message carries; the judge has made it a null before
        values = ("fine", "fine")
        writer.add(Row(group, BootMs(0), values))
    writer.add(Event(BootMs(0), "meter-1", "told", detail + nasty))
    found = check(message(_batch(writer)), ROOT, frozenset(), T0)
    assert isinstance(found, Accepted)
    (line,) = found.rows
    point = parse(line, "ms")
    assert point.fields == dict(zip(group.fields, values, strict=True))
    assert dict(point.tags) == {"device": "meter-1", "gateway": GATEWAY, "profile": "acme/probe"}
    assert b"\n" not in line
    assert all(b"\n" not in event and parse(event, "ns").measurement == "gw_event" for event in found.events)


def _batch(writer: BodyWriter) -> Batch:
    made = make_batch(7)
    enc, body = writer.encode()
    return numbered(made.id, writer.n, enc, body, made.stamp, False, None)


@pytest.mark.parametrize("name", NASTY)
def test_no_name_of_a_stranger_is_taken(name: str) -> None:
    """Gateway, device, kind, field, profile, epoch: names are letters, digits and hyphens before they are anything."""
    for key in ("d", "k", "p", "f", "t"):
        group: dict[str, object] = {"d": "m", "k": "k", "p": "a/b@1", "f": ["a"], "t": "f", "r": [[0, 1.0]]}
        group[key] = [name] if key == "f" else name
        verdict = check(message(raw_batch(7, {"g": [group]}, 1)), ROOT, frozenset(), T0)
        assert isinstance(verdict, Refuse), (key, verdict)
    with pytest.raises(Malformed):
        gateway_of(ROOT, f"{ROOT}/{name}/up/data")
    for field in ("gw", "epoch"):
        header = {"v": 1, "gw": GATEWAY, "epoch": EPOCH, "seq": 1} | {field: name}
        payload = orjson.dumps(header) + b"\n"
        verdict = check(Message(Topics(ROOT, GATEWAY).data, payload, 1, 1), ROOT, frozenset(), T0)
        assert isinstance(verdict, DeadLetter)


@pytest.mark.parametrize("name", [name for name in NASTY if name])
async def test_questions_to_a_store_keep_their_shape(name: str) -> None:
    """A name from a store that others can write, too: it stays inside its quotes, and finds nothing."""
    for question in (ledger(name, name), gaps(name, name), statuses(name, 1), rows(name, name, name, 0, 1)):
        inside = _without_quoted(question)
        assert ";" not in inside
        assert "--" not in inside
        assert "DROP" not in inside
    assert _without_quoted(influxql.epochs("gw_batch", name)).count("WHERE") == 1


@pytest.mark.parametrize("name", NASTY)
async def test_the_embedded_store_binds(tmp_path: Path, name: str) -> None:
    """Values go to SQLite as values."""
    store = SqliteStore(tmp_path / "s.db", InlineWorker())
    await store.write([b"gw_batch,epoch=e,gateway=g seq=1.0,crc=1.0 5"], "ns")
    assert not (await store.stored(name, name)).ranges
    assert [row async for row in store.rows(name, name, name)] == []
    assert await store.gateways() == [("g", "e")]
    await store.close()


def _without_quoted(question: str) -> str:
    """What InfluxQL's scanner sees outside of '...' and "..."; backslash escapes."""
    out, quote, at = "", "", 0
    while at < len(question):
        char = question[at]
        if quote:
            at += char == "\\"
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        else:
            out += char
        at += 1
    assert not quote, question
    return out


@MANY
@given(st.binary(max_size=200))
def test_any_answer_of_a_database(answer: bytes) -> None:
    """Records, or StoreBusy."""
    try:
        influxql.records(answer)
    except StoreBusy:
        return


@MANY
@given(st.text(max_size=80), st.text(max_size=80))
def test_a_point_is_one_line_or_none(name: str, text: str) -> None:
    """Whatever a tag or a field is called, what is written reads back as this one point."""
    try:
        line = line_protocol.point("gw_event", {"subject": name}, {"detail": text}, 5)
    except (Malformed, UnicodeEncodeError):
        return
    point = parse(line, "ns")
    assert dict(point.tags) == ({"subject": name} if name else {})
    assert point.fields == {"detail": text}
    assert point.time_ns == 5


def test_a_status_of_a_stranger_has_no_room_for_tags() -> None:
    """A key that is a tag's name makes a field, never a tag."""
    status = {"v": 1, "online": True, "time": 1, "clock": "ntp", "boot": "b", "version": "1", "epochs": []}
    payload = orjson.dumps(status | {"gateway": "hc-0002"})
    verdict = check(Message(Topics(ROOT, GATEWAY).status, payload, 1, 1), ROOT, frozenset(), UtcMs(T0))
    assert isinstance(verdict, Document)
    assert verdict.lines[0].startswith(b"gw_status,gateway=hc-0001 ")
