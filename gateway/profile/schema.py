"""The TOML of device_profiles/: what an author may write, checked value by value. `profile.build` checks it as a whole.

A key whose work is not built yet stands in `not_built`: it is named as such, never accepted and ignored.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from gateway.profile.types import Address, Duration, FieldName, HexText, Id, KindName, LineText, Text, Words, refused
from gateway.protocols.framing import CHECKSUMS
from gateway.protocols.template import fill
from gateway.toml_file import Strict

NUMBER_TYPES = ("u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64")
BUILT_TYPES = (*NUMBER_TYPES, "u8", "i8", "bcd16", "bcd32", "text", "bit")
REGISTER_BITS = 16

TableName: TypeAlias = Literal["coil", "discrete", "input", "holding"]
Order: TypeAlias = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Every: TypeAlias = Literal["fast", "normal", "slow"]
Range: TypeAlias = tuple[float, float]
Label: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=63)]
SCALE_MIN, SCALE_MAX = 1e-9, 1e9
REF = r"^[^@\s]+@[1-9][0-9]{0,3}$"  # vendor/model@version


def register_type(text: str) -> str:
    """How a value is written in registers."""
    return _one_of(text, BUILT_TYPES)


def checksum_name(name: str) -> str:
    """One that `protocols.framing` knows."""
    return _one_of(name, tuple(CHECKSUMS))


def template_text(text: str) -> str:
    """Hex bytes with holes; what is in them is told later."""
    try:
        fill(text, {"address": "1", "channel": "1"})
    except ValueError as error:
        raise refused("bad_template", str(error)) from None
    return text


def number_type(text: str) -> str:
    """How a number that is not a measurement is written in registers."""
    return _one_of(text, NUMBER_TYPES)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise refused("not_one_of", f"{text!r} is none of {', '.join(known)}")
    return text


def model_id(text: str) -> str:
    """VENDOR/MODEL."""
    vendor, slash, model = text.partition("/")
    if not slash or not all(part.replace("-", "").isalnum() and part == part.lower() for part in (vendor, model)):
        raise refused("bad_id", f"{text!r}: vendor/model, of a-z, 0-9 and -")
    return text


def sentinel(text: str) -> str:
    """A raw word that means no value, as hex text."""
    try:
        int(text, 16)
    except ValueError:
        raise refused("bad_hex", f"{text!r}: a raw word in hex, as in 0xFFFF") from None
    return text


def factor(number: float) -> float:
    """A scale: not 0, and not so small or big that it must be a slip."""
    if not SCALE_MIN <= abs(number) <= SCALE_MAX:
        raise refused("out_of_bounds", f"{number}: from {SCALE_MIN:g} to {SCALE_MAX:g}, or the same below 0")
    return number


def bit_span(span: tuple[int, int]) -> tuple[int, int]:
    """The lowest bit, and how many, of one register."""
    lowest, count = span
    if lowest < 0 or count < 1 or lowest + count > REGISTER_BITS:
        raise refused("bad_bits", f"{count} bits from bit {lowest}: a register has bits 0 to {REGISTER_BITS - 1}")
    return span


def bit_number(bit: int) -> int:
    """One bit of a register."""
    return bit_span((bit, 1))[0]


def label_numbers(written: dict[str, str]) -> dict[str, str]:
    """Raw numbers, decimal or 0x, and what each is called: no number and no text twice."""
    numbers = []
    for key in written:
        try:
            numbers.append(int(key, 0))
        except ValueError:
            raise refused("bad_labels", f"{key!r} is no whole number") from None
    if len(set(numbers)) < len(numbers) or len(set(written.values())) < len(written):
        raise refused("bad_labels", "a number or a text stands there twice")
    if any(text != text.strip() or not text.isprintable() for text in written.values()):
        raise refused("bad_labels", "a text begins or ends with a space, or has control characters")
    return written


def parity_words(written: dict[str, int]) -> dict[str, int]:
    """What stands for each parity: N, E, O; N2, E2, O2 where it says two stop bits as well."""
    if strange := [key for key in written if key not in ("N", "E", "O", "N2", "E2", "O2")]:
        raise refused("bad_setup", f"{strange[0]!r} is no parity: N, E, O, or N2, E2, O2 with two stop bits")
    return written


def baud_words(written: dict[str, int]) -> dict[str, int]:
    """What stands for each speed."""
    if strange := [key for key in written if not key.isdecimal() or not 300 <= int(key) <= 4_000_000]:  # noqa: PLR2004
        raise refused("bad_setup", f"{strange[0]!r} is no speed")
    return written


def _no_limits(value: Any) -> Any:  # noqa: ANN401 - what pydantic hands over
    """`writable = true` has no limits of its own."""
    return {} if value is True else value


def rising(pair: Range) -> Range:
    """Low, then high."""
    if not pair[0] < pair[1]:
        raise refused("out_of_bounds", f"{pair[0]} is not below {pair[1]}")
    return pair


RisingRange: TypeAlias = Annotated[Range, AfterValidator(rising)]
Scale: TypeAlias = Annotated[float, AfterValidator(factor)]
Bit: TypeAlias = Annotated[int, AfterValidator(bit_number)]
BitSpan: TypeAlias = Annotated[tuple[int, int], AfterValidator(bit_span)]
Labels: TypeAlias = Annotated[dict[str, Label], Field(min_length=1, max_length=256), AfterValidator(label_numbers)]
NumberType: TypeAlias = Annotated[str, AfterValidator(number_type)]


class DeprecatedSchema(Strict):
    """deprecated = { by, why }: this version stays for the sites that pin it; new ones take the other."""

    by: Annotated[str, Field(pattern=REF)]
    why: Words


class HeadSchema(Strict):
    """[profile]: what this model is, and how far its map is to be believed."""

    not_built: ClassVar[frozenset[str]] = frozenset({"protocol"})

    id: Annotated[str, AfterValidator(model_id)]
    version: Annotated[int, Field(ge=1, le=9999)]
    kind: KindName
    title: Words
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    confidence: Text
    warnings: tuple[Words, ...] = ()
    wiring: Words | None = None
    deprecated: DeprecatedSchema | None = None


class SerialSettings(Strict):
    """Serial line settings of a Modbus device as it comes from its maker."""

    baud: Annotated[int, Field(ge=300, le=4_000_000)]
    bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class HoleSchema(Strict):
    """Addresses that must never be read."""

    table: TableName | None = None
    first: Address
    last: Address


class IdentifySchema(Strict):
    """A value that tells this model: equal to, or between."""

    table: TableName | None = None
    address: Address
    type: NumberType
    equals: float | None = None
    between: RisingRange | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "IdentifySchema":
        if (self.equals is None) == (self.between is None):
            raise refused("bad_value", "either equals or between")
        return self


class BaudSchema(Strict):
    """The register of the speed."""

    address: Address
    words: Annotated[dict[str, int], Field(min_length=1), AfterValidator(baud_words)]


class ParitySchema(Strict):
    """The register of the parity."""

    address: Address
    words: Annotated[dict[str, int], Field(min_length=1), AfterValidator(parity_words)]


class SetupSchema(Strict):
    """[modbus.setup]: holding registers by which the device's own address and line are set."""

    type: NumberType = "u16"
    unit_id: Address | None = None
    baud: BaudSchema | None = None
    parity: ParitySchema | None = None


class SunspecSchema(Strict):
    """[modbus.sunspec]: the model that the fields are of; their addresses count from its header."""

    models: Annotated[tuple[Annotated[int, Field(ge=2, le=0xFFFE)], ...], Field(min_length=1, max_length=16)]
    length: Annotated[int, Field(ge=1, le=0xFFF0)]
    nth: Annotated[int, Field(ge=1, le=16)] = 1


class StartSchema(Strict):
    """[modbus.start]: what a device is told once before it measures, and how long its values then take to be good."""

    function: Literal[3, 6, 16]
    address: Address
    value: Annotated[int, Field(ge=0, le=0xFFFF)] | None = None
    pause: Duration
    again: Duration | None = None

    @model_validator(mode="after")
    def _whole(self) -> "StartSchema":
        if (self.value is None) != (self.function == 3):  # noqa: PLR2004 - the function code
            raise refused("bad_value", "functions 6 and 16 write a value, 3 reads one register")
        return self


class ModbusSchema(Strict):
    """[modbus]: how the device wants to be read."""

    serial: SerialSettings = SerialSettings(baud=9600)
    unit_id: Annotated[int, Field(ge=1, le=255)] = 1
    table: TableName | None = None
    order: Order = "ABCD"
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    min_gap_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    timeout: Duration = "1s"
    wake: HexText = ""
    wake_ms: Annotated[int, Field(ge=0, le=1000)] = 0
    never_read: tuple[HoleSchema, ...] = ()
    identify: tuple[IdentifySchema, ...] = ()
    setup: SetupSchema | None = None
    sunspec: SunspecSchema | None = None
    start: StartSchema | None = None


class FramingSchema(Strict):
    """What a frame looks like: `protocols.framing.Framing`, with its bytes as hex text.

    The start of a reply may have the device's address in it: `protocols.template`.
    """

    kind: Literal["line", "fixed", "length"]
    max_bytes: Annotated[int, Field(ge=1, le=4096)]
    start: Annotated[str, AfterValidator(template_text)] = ""
    end: HexText = ""
    length: Annotated[int, Field(ge=0, le=4096)] = 0
    length_at: Annotated[int, Field(ge=0, le=64)] = 0
    length_bytes: Literal[1, 2] = 1
    length_plus: Annotated[int, Field(ge=-64, le=64)] = 0
    checksum: Annotated[str, AfterValidator(checksum_name)] = "none"
    checksum_from: Annotated[int, Field(ge=0, le=64)] = 0
    checksum_until: Annotated[int, Field(ge=-64, le=64)] = 0
    checksum_at: Annotated[int, Field(ge=-64, le=64)] = 0
    checksum_text: bool = False
    checksum_mark: HexText = ""


class ParseSchema(Strict):
    """How a frame names its parts: `protocols.parse.Parse`."""

    kind: Literal["split", "sentence", "pairs", "regex", "binary"]
    content_from: Annotated[int, Field(ge=0, le=4096)] = 0
    content_until: Annotated[int, Field(ge=-4096, le=4096)] = 0
    separator: HexText = "2C"
    names: tuple[FieldName, ...] = ()
    layout: Annotated[str, Field(pattern=r"^([<>]([0-9]{0,3}[xBbHhIiQqfd])+)?$")] = ""
    require: dict[str, str] = Field(default_factory=dict)
    valid: dict[str, str] = Field(default_factory=dict)
    sentence: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = ""
    pair: HexText = "3D"
    pattern: str = ""
    sample: str = ""
    suffix: dict[str, Annotated[str, Field(pattern=r"^[!-~]{1,8}$")]] = Field(default_factory=dict)
    void: Annotated[str, Field(pattern=r"^[!-~]{0,8}$")] = ""
    decimal: Literal[".", ","] = "."
    hex: tuple[str, ...] = ()
    degrees: dict[Literal["latitude", "longitude"], tuple[str, str]] = Field(default_factory=dict)


class StepSchema(Strict):
    """One of [[serial.setup]]: bytes that are sent once, and what must come back."""

    send: Annotated[str, AfterValidator(template_text)]
    reply: Annotated[str, AfterValidator(template_text)] = ""
    reply_bytes: Annotated[int, Field(ge=1, le=256)] | None = None
    timeout: Duration = "1s"
    pause: Duration | None = None


class SerialSchema(Strict):
    """[serial]: a device that sends frames by itself, every `period`, or is asked for them, by `poll`; or a `protocol`.

    A protocol has a module of its own, and nothing to declare but the line and the address.
    """

    line: LineText
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")] | None = None
    framing: FramingSchema = FramingSchema(kind="line", max_bytes=1)  # as parse: never looked at with a protocol
    parse: ParseSchema = ParseSchema(kind="split")
    period: Duration | None = None
    poll: Annotated[str, AfterValidator(template_text)] | None = None
    timeout: Duration = "1s"
    address: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,16}$")] | None = None
    channels: dict[FieldName, Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,16}$")]] = Field(default_factory=dict)
    wake: HexText = ""
    wake_ms: Annotated[int, Field(ge=0, le=1000)] = 0
    setup: Annotated[tuple[StepSchema, ...], Field(max_length=4)] = ()

    @model_validator(mode="after")
    def _one_way(self) -> "SerialSchema":
        if (self.period, self.poll, self.protocol).count(None) != 2:  # noqa: PLR2004 - one of the three is there
            raise refused("bad_value", "one of period (it sends by itself), poll (it is asked) and protocol")
        missing = {"framing", "parse"} - self.model_fields_set
        if missing and self.protocol is None:
            raise refused("missing_key", f"{' and '.join(sorted(missing))}: needed in [serial]")
        return self


class LocalSchema(Strict):
    """[local]: a program of this box hands the values in; it has no keys."""


class WritableSchema(Strict):
    """What may be written to a field."""

    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> "WritableSchema":
        if (self.low is None) != (self.high is None) or (self.low is not None and self.values):
            raise refused("bad_value", "either low and high, or values")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise refused("out_of_bounds", f"{self.low} is above {self.high}")
        return self


class FieldSchema(Strict):
    """One field: where it stands and what it means."""

    not_built: ClassVar[frozenset[str]] = frozenset({"title", "rollover"})

    address: Address | None = None
    type: Annotated[str, AfterValidator(register_type)] | None = None
    unit: str | None = None
    decimals: Annotated[int, Field(ge=0, le=9)] | None = None
    scale: Scale | None = None
    offset: float = 0.0
    scale_from: FieldName | None = None
    order: Order | None = None
    table: TableName | None = None
    byte: Literal["high", "low"] | None = None
    bit: Bit | None = None
    bits: BitSpan | None = None
    labels: Labels | None = None
    length: Annotated[int, Field(ge=1, le=125)] | None = None
    encoding: Literal["utf-8", "latin-1"] | None = None
    range: RisingRange | None = None
    sentinels: tuple[Annotated[str, AfterValidator(sentinel)], ...] = ()
    not_fitted: bool = False
    counter: bool = False
    restarts: bool = False
    hidden: bool = False
    parameter: bool = False
    writable: Annotated[WritableSchema | None, BeforeValidator(_no_limits)] = None
    every: Every = "normal"
    quantity: FieldName | None = None
    part: str | None = None


class SerialChangesSchema(Strict):
    """What of [serial] differs; framing and parse each as a whole."""

    line: LineText = "9600 8N1"
    framing: FramingSchema | None = None
    parse: ParseSchema | None = None


class VariantSchema(Strict):
    """[variants.NAME]: a model that differs in a few places; keys as in the profile, those that differ."""

    title: Words
    modbus: ModbusSchema | None = None
    serial: SerialChangesSchema | None = None
    fields: dict[FieldName, FieldSchema] = Field(default_factory=dict)
    without: tuple[FieldName, ...] = ()


class ProfileSchema(Strict):
    """One file of device_profiles/."""

    not_built: ClassVar[frozenset[str]] = frozenset({"protocol"})

    profile: HeadSchema
    modbus: ModbusSchema | None = None
    serial: SerialSchema | None = None
    local: LocalSchema | None = None
    fields: Annotated[dict[FieldName, FieldSchema], Field(min_length=1)]
    variants: dict[Id, VariantSchema] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "ProfileSchema":
        if sum(one is not None for one in (self.modbus, self.serial, self.local)) != 1:
            raise refused("bad_value", "one of [modbus], [serial] and [local]")
        return self
