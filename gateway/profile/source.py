"""[modbus] or [serial] as written -> how the device is read, and what is wrong with that as a whole."""

from collections.abc import Iterator

from gateway.errors import Problem
from gateway.profile.profile import (
    WORDS,
    Identify,
    Line,
    LocalSource,
    ModbusSource,
    ProtocolSource,
    SerialSource,
    Setup,
    Start,
)
from gateway.profile.schema import ModbusSchema, ProfileSchema, SetupSchema, StartSchema
from gateway.profile.serial_source import serial_problems, serial_source
from gateway.profile.types import duration_ms, hex_bytes
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters
from gateway.protocols.sunspec import Sunspec
from gateway.toml_file import Places

WAKE_BYTES_MAX = 16
WORD_MAX = 0xFFFF  # of a setting
START_PAUSE_MS_MAX = 120_000
START_AGAIN_MS_MIN, START_AGAIN_PAUSES = 60_000, 10  # a device that starts again gives no values meanwhile


def source(written: ProfileSchema) -> ModbusSource | SerialSource | ProtocolSource | LocalSource:
    """One of the three; the schema says that there is exactly one."""
    if written.local:
        return LocalSource()
    if written.modbus:
        return _modbus(written.modbus)
    assert written.serial, "the schema says: one of [modbus], [serial] and [local]"  # noqa: S101 - a bug of ours, not the author's
    return serial_source(written.serial)


def source_problems(written: ProfileSchema, places: Places) -> Iterator[Problem]:
    """What no single value of [modbus] or [serial] shows."""
    if written.modbus:
        for n, hole in enumerate(written.modbus.never_read):
            if hole.first > hole.last:
                detail = f"first {hole.first} is above last {hole.last}"
                yield places.problem("out_of_bounds", detail, "modbus", "never_read", n)
        yield from _wake_problems(written.modbus, places)
        yield from _sunspec_problems(written.modbus, places)
        yield from _setup_problems(written.modbus.setup, places)
        yield from _start_problems(written.modbus.start, places)
    if written.serial:
        yield from serial_problems(written, written.serial, places)


def _modbus(written: ModbusSchema) -> ModbusSource:
    serial = written.serial
    return ModbusSource(
        line=Line(serial.baud, serial.bits, serial.parity, serial.stop_bits),
        unit_id=written.unit_id,
        max_registers=written.max_registers,
        min_gap_ms=written.min_gap_ms,
        timeout_ms=duration_ms(written.timeout),
        never_read=tuple(_never_read(written)),
        identify=tuple(_identify(written)),
        wake=hex_bytes(written.wake),
        wake_ms=written.wake_ms,
        setup=_setup(written),
        sunspec=_sunspec(written),
        start=_start(written.start),
    )


def _sunspec(written: ModbusSchema) -> Sunspec | None:
    one = written.sunspec
    return None if one is None else Sunspec(one.models, one.length, one.nth)


def _never_read(written: ModbusSchema) -> Iterator[tuple[Table, int, int]]:
    """What must not be stepped over by a longer read: also the register that starts the device when it is read."""
    for hole in written.never_read:
        yield _table(hole.table, written), hole.first, hole.last
    if written.start and written.start.value is None:
        yield Table.HOLDING, written.start.address, written.start.address


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


def _start(start: StartSchema | None) -> Start | None:
    if start is None:
        return None
    request: ReadRequest | WriteRegisters = ReadRequest(Table.HOLDING, start.address, 1)
    if start.value is not None:
        request = WriteRegisters(start.address, (start.value,), multiple=start.function == 16)  # noqa: PLR2004
    return Start(request, duration_ms(start.pause), duration_ms(start.again) if start.again else 0)


def _start_problems(start: StartSchema | None, places: Places) -> Iterator[Problem]:
    """A pause has a bound, and is short against what it is repeated in."""
    if start is None:
        return
    pause_ms, again_ms = duration_ms(start.pause), duration_ms(start.again) if start.again else 0
    if pause_ms > START_PAUSE_MS_MAX:
        detail = f"a pause of more than {START_PAUSE_MS_MAX // 1000} s"
        yield places.problem("out_of_bounds", detail, "modbus", "start", "pause")
    if start.again and again_ms < max(START_AGAIN_MS_MIN, START_AGAIN_PAUSES * pause_ms):
        detail = f"at the most once in {START_AGAIN_MS_MIN // 1000} s, and in {START_AGAIN_PAUSES} pauses"
        yield places.problem("out_of_bounds", detail, "modbus", "start", "again")


def _wake_problems(written: ModbusSchema, places: Places) -> Iterator[Problem]:
    if len(hex_bytes(written.wake)) > WAKE_BYTES_MAX:
        detail = f"more than {WAKE_BYTES_MAX} bytes before each request"
        yield places.problem("out_of_bounds", detail, "modbus", "wake")
    if written.wake_ms and not written.wake:
        yield places.problem("keys_clash", "wake_ms is the time after wake, which is not there", "modbus", "wake_ms")


def _sunspec_problems(written: ModbusSchema, places: Places) -> Iterator[Problem]:
    """A model stands where it stands: nothing is said of addresses from 0 but that."""
    if written.sunspec is None:
        return
    for key, has in (("identify", written.identify), ("never_read", written.never_read)):
        if has:
            detail = f"{key} means nothing with sunspec: where a model stands is found by its header"
            yield places.problem("keys_clash", detail, "modbus", key)
    if written.table not in (None, Table.HOLDING):
        yield places.problem("keys_clash", "SunSpec models stand in the holding table", "modbus", "table")


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
