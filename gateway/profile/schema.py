"""The TOML of device_profiles/: what an author may write, checked value by value. `profile.build` checks it as a whole.

A key whose work is not built yet stands in `not_built`: it is named as such, never accepted and ignored.
"""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gateway.profile.types import Address, Duration, FieldName, HexText, KindName, LineText, Text, Words, refused
from gateway.toml_file import Strict

BUILT_TYPES = ("u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bit")
LATER_TYPES = ("text", "bcd", "enum", "bits", "u8", "i8", "u24")

TableName: TypeAlias = Literal["coil", "discrete", "input", "holding"]
Order: TypeAlias = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Every: TypeAlias = Literal["fast", "normal", "slow"]
Scale: TypeAlias = Annotated[float, Field(gt=0, ge=1e-9, le=1e9)]
Range: TypeAlias = tuple[float, float]


def register_type(text: str) -> str:
    """How a value is written in registers."""
    if text in LATER_TYPES:
        raise refused("not_built_yet", f"type {text} is planned, but this version does not read it")
    if text not in BUILT_TYPES:
        raise refused("not_one_of", f"{text!r} is none of {', '.join(BUILT_TYPES)}")
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


def rising(pair: Range) -> Range:
    """Low, then high."""
    if not pair[0] < pair[1]:
        raise refused("out_of_bounds", f"{pair[0]} is not below {pair[1]}")
    return pair


RisingRange: TypeAlias = Annotated[Range, AfterValidator(rising)]


class HeadSchema(Strict):
    """[profile]: what this model is, and how far its map is to be believed."""

    not_built: ClassVar[frozenset[str]] = frozenset({"variant", "variants", "protocol"})

    id: Annotated[str, AfterValidator(model_id)]
    version: Annotated[int, Field(ge=1, le=9999)]
    kind: KindName
    title: Words
    sources: Annotated[tuple[Text, ...], Field(min_length=1)]
    confidence: Text
    warnings: tuple[Words, ...] = ()


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
    type: Annotated[str, AfterValidator(register_type)]
    equals: float | None = None
    between: RisingRange | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "IdentifySchema":
        if (self.equals is None) == (self.between is None):
            raise refused("bad_value", "either equals or between")
        return self


class ModbusSchema(Strict):
    """[modbus]: how the device wants to be read."""

    not_built: ClassVar[frozenset[str]] = frozenset({"setup", "wake", "pause_before", "pause_after", "parameters"})

    serial: SerialSettings = SerialSettings(baud=9600)
    unit_id: Annotated[int, Field(ge=1, le=255)] = 1
    table: TableName | None = None
    order: Order = "ABCD"
    max_registers: Annotated[int, Field(ge=1, le=125)] = 125
    min_gap_ms: Annotated[float, Field(ge=0, le=1000)] = 0.0
    timeout: Duration = "1s"
    never_read: tuple[HoleSchema, ...] = ()
    identify: tuple[IdentifySchema, ...] = ()


class FramingSchema(Strict):
    """What a frame looks like: `protocols.framing.Framing`, with its bytes as hex text."""

    not_built: ClassVar[frozenset[str]] = frozenset({"poll", "wake"})

    kind: Literal["line", "fixed", "length"]
    max_bytes: Annotated[int, Field(ge=1, le=4096)]
    start: HexText = ""
    end: HexText = ""
    length: Annotated[int, Field(ge=0, le=4096)] = 0
    length_at: Annotated[int, Field(ge=0, le=64)] = 0
    length_bytes: Literal[1, 2] = 1
    length_plus: Annotated[int, Field(ge=-64, le=64)] = 0
    checksum: Literal["none", "sum8", "sum16_be", "xor", "twos_complement8", "crc16_modbus"] = "none"
    checksum_from: Annotated[int, Field(ge=0, le=64)] = 0
    checksum_until: Annotated[int, Field(ge=-64, le=64)] = 0
    checksum_at: Annotated[int, Field(ge=-64, le=64)] = 0
    checksum_text: bool = False


class ParseSchema(Strict):
    """How a frame names its parts: `protocols.parse.Parse`."""

    not_built: ClassVar[frozenset[str]] = frozenset({"regex", "sentence", "pairs"})

    kind: Literal["split", "binary"]
    content_from: Annotated[int, Field(ge=0, le=4096)] = 0
    content_until: Annotated[int, Field(ge=-4096, le=4096)] = 0
    separator: HexText = "2C"
    names: tuple[FieldName, ...] = ()
    layout: Annotated[str, Field(pattern=r"^([<>]([0-9]{0,3}[xBbHhIiQqfd])+)?$")] = ""
    require: dict[str, str] = Field(default_factory=dict)


class SerialSchema(Strict):
    """[serial]: a device that sends frames by itself."""

    not_built: ClassVar[frozenset[str]] = frozenset({"poll", "setup", "wake", "protocol"})

    line: LineText
    framing: FramingSchema
    parse: ParseSchema
    period: Duration


class FieldSchema(Strict):
    """One field: where it stands and what it means."""

    not_built: ClassVar[frozenset[str]] = frozenset(
        {
            "scale_from", "scale_register", "bit", "bits", "enum", "length", "not_fitted", "restart", "restarts",
            "writable", "limits", "parameter", "title", "rollover",
        }
    )  # fmt: skip

    address: Address | None = None
    type: Annotated[str, AfterValidator(register_type)] | None = None
    unit: str
    decimals: Annotated[int, Field(ge=0, le=9)] | None = None
    scale: Scale | None = None
    offset: float = 0.0
    order: Order | None = None
    table: TableName | None = None
    range: RisingRange | None = None
    sentinels: tuple[Annotated[str, AfterValidator(sentinel)], ...] = ()
    counter: bool = False
    every: Every = "normal"
    quantity: FieldName | None = None
    part: str | None = None


class ProfileSchema(Strict):
    """One file of device_profiles/."""

    not_built: ClassVar[frozenset[str]] = frozenset({"variant", "variants", "parameters", "protocol"})

    profile: HeadSchema
    modbus: ModbusSchema | None = None
    serial: SerialSchema | None = None
    fields: Annotated[dict[FieldName, FieldSchema], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_source(self) -> "ProfileSchema":
        if (self.modbus is None) == (self.serial is None):
            raise refused("bad_value", "either [modbus] or [serial]")
        return self
