"""The TOML of device_profiles/: what an author may write, checked value by value. `profile.build` checks it as a whole.

A key whose work is not built yet stands in `not_built`: it is named as such, never accepted and ignored.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.profile.literals import (
    REF,
    Bit,
    BitSpan,
    Every,
    Labels,
    NumberType,
    Order,
    RisingRange,
    Scale,
    TableName,
    baud_words,
    checksum_name,
    model_id,
    no_limits,
    parity_words,
    register_type,
    sentinel,
    template_text,
)
from gateway.profile.types import Address, Duration, FieldName, HexText, Id, KindName, LineText, Text, Words, refused
from gateway.toml_file import Strict


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
    writable: Annotated[WritableSchema | None, BeforeValidator(no_limits)] = None
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
