"""[modbus] or [serial] as written -> how the device is read, and what is wrong with that as a whole."""

import re
from collections.abc import Iterator, Mapping

from gateway.errors import Problem
from gateway.profile.profile import WORDS, Identify, Line, LocalSource, ModbusSource, SerialSource, Setup
from gateway.profile.schema import FramingSchema, ModbusSchema, ParseSchema, ProfileSchema, SerialSchema, SetupSchema
from gateway.profile.types import duration_ms, hex_bytes, serial_line
from gateway.profile.word import CODES
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.parse import Parse
from gateway.toml_file import Places

WAKE_BYTES_MAX = 16
WORD_MAX = 0xFFFF  # of a setting
TYPES = {code: name for name, code in CODES.items()}


def source(written: ProfileSchema) -> ModbusSource | SerialSource | LocalSource:
    """One of the three; the schema says that there is exactly one."""
    if written.local:
        return LocalSource()
    return _modbus(written.modbus) if written.modbus else _serial(_there(written.serial))


def source_problems(written: ProfileSchema, places: Places) -> Iterator[Problem]:
    """What no single value of [modbus] or [serial] shows."""
    if written.modbus:
        for n, hole in enumerate(written.modbus.never_read):
            if hole.first > hole.last:
                detail = f"first {hole.first} is above last {hole.last}"
                yield places.problem("out_of_bounds", detail, "modbus", "never_read", n)
        yield from _wake_problems(written.modbus, places)
        yield from _setup_problems(written.modbus.setup, places)
    if written.serial:
        yield from _parse_problems(written.serial.parse, places)
        yield from _framing_problems(written.serial.framing, places)
        yield from _part_problems(written, written.serial.parse, places)


def part_types(serial: SerialSchema | None) -> Mapping[str, str]:
    """What each part of a binary frame is; the parts of a text frame have no type."""
    if serial is None or serial.parse.kind != "binary":
        return {}
    return {name: TYPES[code] for name, code in zip(serial.parse.names, _codes(serial.parse), strict=False)}


def _there(serial: SerialSchema | None) -> SerialSchema:
    assert serial, "the schema says: one of [modbus], [serial] and [local]"  # noqa: S101 - a bug of ours, not the author's
    return serial


def _modbus(written: ModbusSchema) -> ModbusSource:
    serial = written.serial
    return ModbusSource(
        line=Line(serial.baud, serial.bits, serial.parity, serial.stop_bits),
        unit_id=written.unit_id,
        max_registers=written.max_registers,
        min_gap_ms=written.min_gap_ms,
        timeout_ms=duration_ms(written.timeout),
        never_read=tuple((_table(hole.table, written), hole.first, hole.last) for hole in written.never_read),
        identify=tuple(_identify(written)),
        wake=hex_bytes(written.wake),
        wake_ms=written.wake_ms,
        setup=_setup(written),
    )


def _table(own: str | None, written: ModbusSchema) -> Table:
    return Table(own or written.table or Table.HOLDING)


def _identify(written: ModbusSchema) -> Iterator[Identify]:
    for each in written.identify:
        low, high = each.between or (each.equals or 0.0, each.equals or 0.0)
        yield Identify(_table(each.table, written), each.address, each.type, low, high)


def _setup(written: ModbusSchema) -> Setup | None:
    setup = written.setup
    if setup is None:
        return None
    baud, parity = setup.baud, setup.parity
    return Setup(
        unit_id=setup.unit_id,
        baud=baud.address if baud else None,
        bauds=tuple((raw, int(speed)) for speed, raw in baud.words.items()) if baud else (),
        parity=parity.address if parity else None,
        parities=tuple((raw, name) for name, raw in parity.words.items()) if parity else (),
        type=setup.type,
        order=written.order if setup.type in WORDS else "ABCD",
    )


def _wake_problems(written: ModbusSchema, places: Places) -> Iterator[Problem]:
    if len(hex_bytes(written.wake)) > WAKE_BYTES_MAX:
        detail = f"more than {WAKE_BYTES_MAX} bytes before each request"
        yield places.problem("out_of_bounds", detail, "modbus", "wake")
    if written.wake_ms and not written.wake:
        yield places.problem("keys_clash", "wake_ms is the time after wake, which is not there", "modbus", "wake_ms")


def _setup_problems(setup: SetupSchema | None, places: Places) -> Iterator[Problem]:
    if setup is None:
        return
    if setup.unit_id is None and setup.baud is None and setup.parity is None:
        yield places.problem("bad_setup", "one of unit_id, baud and parity", "modbus", "setup")
    for key, setting in (("baud", setup.baud), ("parity", setup.parity)):
        raws = list(setting.words.values()) if setting else []
        if len(set(raws)) < len(raws) or any(not 0 <= raw <= WORD_MAX for raw in raws):
            detail = f"different numbers from 0 to {WORD_MAX}"
            yield places.problem("bad_setup", detail, "modbus", "setup", key, "words")


def _serial(written: SerialSchema) -> SerialSource:
    return SerialSource(
        line=serial_line(written.line),
        framing=_framing(written.framing),
        parse=_parse(written.parse),
        period_ms=duration_ms(written.period),
    )


def _framing(written: FramingSchema) -> Framing:
    values = written.model_dump()
    return Framing(**{**values, "start": hex_bytes(written.start), "end": hex_bytes(written.end)})


def _parse(written: ParseSchema) -> Parse:
    return Parse(
        kind=written.kind,
        content_from=written.content_from,
        content_until=written.content_until,
        separator=hex_bytes(written.separator),
        names=written.names,
        layout=written.layout,
        require=tuple(written.require.items()),
    )


def _codes(parse: ParseSchema) -> list[str]:
    """One struct code for each number of a binary frame."""
    found = re.findall(r"([0-9]*)([a-zA-Z])", parse.layout)
    return [code for count, code in found if code != "x" for _ in range(int(count or 1))]


def _parse_problems(parse: ParseSchema, places: Places) -> Iterator[Problem]:
    if parse.kind == "split" and (parse.names or parse.layout):
        yield places.problem("bad_layout", "names and layout are for binary frames", "serial", "parse")
    if parse.kind == "split" and not hex_bytes(parse.separator):
        yield places.problem("bad_layout", "a separator is at least one byte", "serial", "parse", "separator")
    codes = _codes(parse)
    if parse.kind == "binary" and len(codes) != len(parse.names):
        detail = f"{len(parse.names)} names for the {len(codes)} numbers of {parse.layout!r}"
        yield places.problem("bad_layout", detail, "serial", "parse", "layout")
    if len(set(parse.names)) != len(parse.names):
        yield places.problem("doubled_name", "a part is named twice", "serial", "parse", "names")


def _framing_problems(framing: FramingSchema, places: Places) -> Iterator[Problem]:
    if framing.kind == "fixed" and not 1 <= framing.length <= framing.max_bytes:
        detail = "a fixed frame needs its length, at most max_bytes"
        yield places.problem("bad_layout", detail, "serial", "framing", "length")
    if framing.kind == "line" and not hex_bytes(framing.end):
        yield places.problem("bad_layout", "a line needs its end", "serial", "framing", "end")


def _part_problems(written: ProfileSchema, parse: ParseSchema, places: Places) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for name, field in written.fields.items():
        part = field.part or ""
        known = part in parse.names if parse.kind == "binary" else part.isdecimal()
        if field.part is not None and not known:
            yield places.problem("bad_layout", f"the frame has no part {part!r}", "fields", name, "part")
        elif part in taken:
            yield places.problem("address_overlap", f"{taken[part]} is read from it already", "fields", name, "part")
        taken.setdefault(part, name)
