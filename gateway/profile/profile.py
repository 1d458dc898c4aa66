"""A profile, compiled: frozen, without pydantic. Made by `profile.load`; what site, south, simulators and plan read."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.protocols.declared import Poll, SetupStep
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters
from gateway.protocols.parse import Parse
from gateway.protocols.sunspec import Sunspec

WORDS = {"u32": 2, "i32": 2, "f32": 2, "bcd32": 2, "u64": 4, "i64": 4, "f64": 4}  # registers; all other types: one
WHOLE = 0xFFFF  # every bit of a register
MODEL_FIELD, LENGTH_FIELD = "sunspec_model", "sunspec_length"  # hidden: the header of a SunSpec model


@dataclass(frozen=True, slots=True)
class Writable:
    """What may be written to a field: within limits, or one of some values. The site has to allow it besides."""

    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """One measured quantity: what it means, and where it stands.

    value = (raw + raw_offset) * 10**-tens * scale; `scale` is 1.0 where a power of ten says it all, so that a decimal
    scale is a division by a power of ten and 0.1-steps stay exact. With `scale_from` it is times the power of ten that
    stands in that field (`codec.finish`). With `bits` raw is these bits of one register: signed when the type is.

    A sentinel is compared with the whole word of the type: of a u16 with bits, with the whole register; of a u8, with
    the byte.
    """

    name: str
    quantity: str  # its name in quantities.toml
    unit: str  # UCUM
    letter: str  # f | b | s
    decimals: int
    low: float | None = None  # plausible range; outside it is null, out_of_range
    high: float | None = None
    every: str = "normal"  # period class: fast | normal | slow
    counter: bool = False
    aggregate: str = "mean"  # what many readings are folded into: mean | last | energy_mean | vector_mean
    # where in a Modbus map
    table: Table | None = None
    address: int | None = None
    type: str = ""  # u8 i8 u16 i16 u32 i32 u64 i64 f32 f64 bcd16 bcd32 text bit; in registers u8 and i8 have bits
    order: str = "ABCD"  # ABCD CDAB BADC DCBA (64-bit: the same rule over more words); a text: ABCD or BADC
    raw_offset: float = 0.0
    tens: int = 0
    scale: float = 1.0
    sentinels: tuple[int, ...] = ()  # raw words that mean no value
    bits: tuple[int, int] | None = None  # of a register: the lowest bit that counts (0-15), and how many
    labels: tuple[tuple[int, str], ...] = ()  # an enum: what each raw number is called
    length: int = 0  # registers of a text
    encoding: str = "utf-8"  # of a text: utf-8 (so ASCII too) or latin-1
    scale_from: str = ""  # the field of the same group whose value is the power of ten that this one is times
    hidden: bool = False  # read for the sake of others, never reported
    not_fitted: bool = False  # 0 means that nothing is connected there
    restarts: bool = False  # a counter that begins again at 0 when the device loses power
    parameter: bool = False  # a setting of the device: read on request, not polled
    write: Writable | None = None
    # where in a serial frame
    part: str = ""

    @property
    def words(self) -> int:
        """Registers (or, for a bit, addresses) this field takes."""
        return self.length or WORDS.get(self.type, 1)

    @property
    def mask(self) -> int:
        """The bits that it takes of its register: fields share one when theirs are apart."""
        return ((1 << self.bits[1]) - 1) << self.bits[0] if self.bits else WHOLE


@dataclass(frozen=True, slots=True)
class Line:
    """Serial settings: "9600 8N1"."""

    baud: int = 9600
    bits: int = 8
    parity: str = "N"  # N E O
    stop_bits: int = 1


@dataclass(frozen=True, slots=True)
class Identify:
    """A register whose value tells this model: equal to, or between."""

    table: Table
    address: int
    type: str
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Setup:
    """Registers by which the device's own address and line are set: where, and which number stands for what."""

    unit_id: int | None = None  # address of a holding register
    baud: int | None = None
    bauds: tuple[tuple[int, int], ...] = ()  # (raw number, baud)
    parity: int | None = None
    parities: tuple[tuple[int, str], ...] = ()  # (raw number, N E O; N2 E2 O2 with two stop bits)
    type: str = "u16"  # how each of these numbers is written
    order: str = "ABCD"


@dataclass(frozen=True, slots=True)
class Start:
    """What a device is told before it measures: one register that is read, or written."""

    request: ReadRequest | WriteRegisters
    pause_ms: int  # from its answer until its values are good
    again_ms: int = 0  # how old a start may be, for a device that loses power unseen; 0 = any age


@dataclass(frozen=True, slots=True)
class ModbusSource:
    """How a Modbus device wants to be read."""

    line: Line
    unit_id: int
    max_registers: int = 125
    min_gap_ms: float = 0.0
    timeout_ms: int = 1000
    never_read: tuple[tuple[Table, int, int], ...] = ()  # (table, first, last)
    identify: tuple[Identify, ...] = ()
    wake: bytes = b""  # sent before each request, for a device that sleeps
    wake_ms: int = 0  # from its last byte to the request
    setup: Setup | None = None
    sunspec: Sunspec | None = None  # addresses count from the header of this model, wherever that stands
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class SerialSource:
    """How a serial device is read: it sends by itself, every `period_ms`, or it answers its `poll`."""

    line: Line
    framing: Framing
    parse: Parse
    period_ms: int  # what it sends by itself; 0 where it is polled
    poll: Poll | None = None
    setup: tuple[SetupStep, ...] = ()  # what it is told when it comes up


@dataclass(frozen=True, slots=True)
class LocalSource:
    """Not read by us: a program of this box hands its values in."""


@dataclass(frozen=True, slots=True)
class ProtocolSource:
    """How a device is read that has a module for its protocol (`protocols.plugin`)."""

    line: Line
    protocol: str  # its name: "vedirect"
    place: str  # where it is: "gateway.protocols.vedirect:PROTOCOL"
    address: str = ""  # as it comes from its maker; "" = it has none


@dataclass(frozen=True, slots=True)
class Profile:
    """One device model."""

    ref: str  # "eastron/sdm630@1"
    kind: str  # the store's measurement
    title: tuple[tuple[str, str], ...]  # ("en", ...), ("vi", ...)
    confidence: str
    fields: tuple[Field, ...]
    source: ModbusSource | SerialSource | ProtocolSource | LocalSource

    @property
    def reported(self) -> tuple[Field, ...]:
        """What it measures: not what is only read for others, nor its settings."""
        return tuple(field for field in self.fields if not (field.hidden or field.parameter))

    def address_space(self, field: Field) -> str:
        """What a field's address counts in, as people are shown it: its table, or the model that it is of."""
        walked = isinstance(self.source, ModbusSource) and self.source.sunspec is not None
        return "model" if walked else str(field.table)

    def behind(self, fields: Iterable[Field]) -> tuple[Field, ...]:
        """The hidden fields that these are read with: their scales, and the header that tells where they stand."""
        wanted = {field.scale_from for field in fields} | {MODEL_FIELD, LENGTH_FIELD}
        return tuple(field for field in self.fields if field.hidden and field.name in wanted)
