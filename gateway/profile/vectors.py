"""MODEL.vectors.toml: frames of a real device, or made from its documented layout, and what they mean.

They are the proof of a profile: each frame is decoded and must give exactly these values, and the values are encoded
and must give the same registers again, because the simulators are built on that direction. Every field is in some
frame. A profile whose vectors fail is a problem, not a warning: its values would be wrong, and would look right.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator
from pydantic import Field as Bounds

from gateway.errors import GatewayError, Problem
from gateway.model import Value
from gateway.profile import plugins
from gateway.profile.codec import ORDERS, Block, Decoded, finish
from gateway.profile.parts import decode_parts, encode_parts
from gateway.profile.profile import (
    LENGTH_FIELD,
    MODEL_FIELD,
    Field,
    LocalSource,
    ModbusSource,
    Profile,
    ProtocolSource,
    SerialSource,
)
from gateway.profile.types import HexText, Text, hex_bytes, refused
from gateway.profile.word import FLOATS
from gateway.protocols import bounded, checksums, declared, framing, modbus_pdu, parse, rehearsal
from gateway.protocols.conversation import SetBaud
from gateway.protocols.modbus_pdu import ReadRequest
from gateway.protocols.rehearsal import Said
from gateway.toml_file import Located, Strict, read_located

CRC_BYTES = 2
ENDS_SHOWN = 4
PARTS_SHOWN = 12  # of a frame whose values are wrong


def said_text(text: str) -> str:
    """Who says it, and the bytes; or a speed."""
    if text[:2] not in ("> ", "< ", "= ") or (text[0] == "=" and not text[2:].isdecimal()):
        raise refused("bad_value", f"{text!r:.40}: begins with > (ours), < (the device's) or = (the speed)")
    if text[0] != "=":
        hex_bytes(text[2:])
    return text


class VectorSchema(Strict):
    """One frame (of what sends by itself), one request and response, or all that is said in one visit; its meaning.

    `exchange`: "> " and the bytes that we send, "< " and those that the device does, in their order; "= 9600"
    where both change their speed.
    """

    about: Text
    evidence: Literal["captured", "printed", "constructed"]  # from a device; in a maker's paper; by us, from the layout
    source: Text
    request: HexText | None = None
    response: HexText | None = None
    frame: HexText | None = None
    exchange: tuple[Annotated[str, AfterValidator(said_text)], ...] = ()
    address: str | None = None  # of an exchange; the profile's where it says none
    variant: str | None = None
    at: Annotated[int, Bounds(ge=0, le=0xFFFF)] = 0  # of a SunSpec device: where the header of the model stood
    values: dict[str, float | bool | str] = Bounds(default_factory=dict)
    quality: dict[str, str] = Bounds(default_factory=dict)  # fields without a value, and why

    @model_validator(mode="after")
    def _either_or(self) -> "VectorSchema":
        if (self.request is None) != (self.response is None):
            raise refused("bad_value", "request and response belong together")
        if [self.request is None, self.frame is None, not self.exchange].count(False) != 1:
            raise refused("bad_value", "one of request and response, frame, and exchange")
        return self


class VectorsSchema(Strict):
    """The whole file."""

    vector: Annotated[tuple[VectorSchema, ...], Bounds(min_length=1)]


def path_of(profile: Path) -> Path:
    """Beside the profile."""
    return profile.with_suffix(".vectors.toml")


def read(path: Path) -> Located[VectorsSchema]:
    """Raises Invalid."""
    return read_located(path, VectorsSchema)


def check(
    profile: Profile, vectors: Located[VectorsSchema], variants: Mapping[str, Profile] = MappingProxyType({})
) -> Iterator[Problem]:
    """What the profile or a variant gets wrong, in both directions, and the fields that no vector reaches."""
    reached: dict[str, set[str]] = {}
    for n, vector in enumerate(vectors.value.vector):
        named = vector.variant or ""
        if named and named not in variants:
            yield vectors.places.problem("bad_vector", f"the profile has no variant {named}", "vector", n, "variant")
            continue
        reached.setdefault(named, set()).update(vector.values, vector.quality)
        try:
            for code, detail in _mismatches(variants[named] if named else profile, vector):
                yield vectors.places.problem(code, detail, "vector", n)
        except (GatewayError, ValueError) as error:
            yield vectors.places.problem("bad_vector", str(error), "vector", n)
    for name, one in {"": profile, **variants}.items():
        own = set(one.fields) - (_shown_by(profile, one) if name else set())
        missing = [field.name for field in one.fields if field in own and field.name not in reached.get(name, ())]
        of = f" of variant {name}" if name else ""
        yield from (vectors.places.problem("untested_field", f"no vector{of} reaches {field}") for field in missing)
    for told in _untold(profile, vectors.value.vector):
        yield vectors.places.problem("untested_field", f"no vector shows that it is told {told.hex(' ')}")
    yield from (vectors.places.problem("vector_mismatch", detail, "vector") for detail in _outside(profile, vectors))


def _shown_by(profile: Profile, variant: Profile) -> set[Field]:
    """Fields of a variant that the vectors of the profile prove; none where its frames are other ones."""
    framed = isinstance(variant.source, SerialSource) and variant.source != profile.source
    return set() if framed else set(profile.fields)


def _untold(profile: Profile, recorded: Sequence[VectorSchema]) -> Iterator[bytes]:
    """What a device is told before it is read, and no vector shows; what is not answered cannot be shown."""
    source, shown = profile.source, [hex_bytes(one.request or "") for one in recorded]
    if isinstance(source, ModbusSource) and source.start:
        told = modbus_pdu.encode_request(source.start.request)
        if told not in [request[1:-CRC_BYTES] for request in shown]:
            yield told
    for step in source.setup if isinstance(source, SerialSource) else ():
        send, answer = declared.told(step, _address(source))
        if answer and send not in shown:
            yield send


def _address(source: ProtocolSource | SerialSource | ModbusSource | LocalSource) -> str:
    return source.poll.address if isinstance(source, SerialSource) and source.poll else ""


def _outside(profile: Profile, vectors: Located[VectorsSchema]) -> Iterator[str]:
    """Fields whose range none of their values is in; one alone may be a maker's example of a device that is broken."""
    for field in profile.fields:
        told = [vector.values[field.name] for vector in vectors.value.vector if field.name in vector.values]
        numbers = [number for number in told if isinstance(number, float)]
        low, high = (-inf if field.low is None else field.low), (inf if field.high is None else field.high)
        if numbers and not any(low <= number <= high for number in numbers):
            yield f"{field.name}: {numbers[0]!r} is outside its range, {low:g} to {high:g}: it would be null"


def _mismatches(profile: Profile, vector: VectorSchema) -> Iterator[tuple[str, str]]:
    if isinstance(profile.source, LocalSource):
        raise ValueError("what is handed in has no frames")  # noqa: TRY004 - of the file, not of a type
    if isinstance(profile.source, ModbusSource):
        fields, decoded = _decode_exchange(profile.source, _placed(profile.fields, vector.at), vector)
        if fields:  # not what starts it
            yield from _other_model(profile.source, fields, decoded)
    elif isinstance(profile.source, ProtocolSource):
        fields, decoded = _decode_visit(profile.source, profile.fields, vector)
    else:
        fields, decoded = _decode_frame(profile.source, profile.fields, vector)
    got = dict(zip([field.name for field in fields], decoded.values, strict=True))
    why = {fields[n].name: str(quality) for n, quality in decoded.quality}
    for name in sorted(got.keys() | vector.values.keys() | vector.quality.keys()):
        wanted = vector.quality.get(name, _shown(vector.values.get(name)))
        is_ = why.get(name, _shown(got.get(name)))
        if is_ != wanted:
            yield "vector_mismatch", f"{name}: {is_}, not {wanted}{_hint(profile, vector, name, wanted)}"


def _hint(profile: Profile, vector: VectorSchema, name: str, wanted: str) -> str:
    """What would explain it: the end of a sentence, or nothing."""
    field = next((field for field in profile.fields if field.name == name), None)
    if field is None:
        return "; the profile has no such field"
    if isinstance(profile.source, ModbusSource):
        (placed,) = _placed([field], vector.at)
        return _other_place(placed, vector) or _other_order(profile.source, placed, vector, wanted)
    if isinstance(profile.source, SerialSource):
        return f"; its parts are {_parts_of(profile.source, vector)}"
    return ""


def _shown(value: Value | None) -> str:
    return "nothing" if value is None else repr(value)


# --- Modbus -----------------------------------------------------------------------------------------------------------


def _decode_exchange(
    source: ModbusSource, fields: Sequence[Field], vector: VectorSchema
) -> tuple[Sequence[Field], Decoded]:
    """The fields that this exchange reads, and their values; raises ValueError when the way back differs."""
    wrong = [why for text in (vector.request, vector.response) if (why := _wrong_with(text or ""))]
    if wrong:
        raise ValueError("; ".join(wrong))
    request = modbus_pdu.decode_request(_pdu(vector.request))
    if source.start and request == source.start.request:
        modbus_pdu.reply_data(request, _pdu(vector.response))
        return (), Decoded((), ())
    if not isinstance(request, ReadRequest):
        raise ValueError("the request reads nothing")  # noqa: TRY004 - of the file, not of a type
    data = modbus_pdu.reply_data(request, _pdu(vector.response))
    inside = [field for field in fields if _inside(field, request)]
    for field in inside:
        if field.scale_from and field.scale_from not in [other.name for other in inside]:
            raise ValueError(f"{field.name}: the scale of it, {field.scale_from}, must be read in the same exchange")
    block = Block(inside, request.table, request.address, request.count)
    decoded = block.decode(data)
    again = block.encode(decoded.values)
    if block.decode(again).values != decoded.values:
        raise ValueError("encoded and decoded again it has other values")
    for field, value in zip(inside, decoded.values, strict=True):
        exact = value is not None and field.type not in FLOATS and field.type != "text"
        if exact and _word(field, request, again) != _word(field, request, data):
            raise ValueError(f"{field.name}: encoded again it has other registers")
    return inside, _finished(inside, decoded)


def _placed(fields: Sequence[Field], at: int) -> Sequence[Field]:
    return [replace(field, address=(field.address or 0) + at) for field in fields]


def _other_model(source: ModbusSource, fields: Sequence[Field], decoded: Decoded) -> Iterator[tuple[str, str]]:
    """Of a SunSpec model, the header is in each exchange, and it is this model's."""
    if source.sunspec is None:
        return
    got = dict(zip([field.name for field in fields], decoded.values, strict=True))
    if not source.sunspec.is_header(got.get(MODEL_FIELD), got.get(LENGTH_FIELD)):
        yield "vector_mismatch", "the header in it is not that of the profile's SunSpec model"


def _other_place(field: Field, vector: VectorSchema) -> str:
    request = modbus_pdu.decode_request(_pdu(vector.request))
    if not isinstance(request, ReadRequest) or _inside(field, request):
        return ""
    last = request.address + request.count - 1
    reads = f"{request.table} {request.address:#06x} to {last:#06x}"
    return f"; it stands at {field.table} {field.address:#06x}, this reads {reads}"


def _other_order(source: ModbusSource, field: Field, vector: VectorSchema, wanted: str) -> str:
    """The order with which it would be right."""
    for order in ORDERS if field.words > 1 and field.type != "text" and not field.scale_from else ():
        with suppress(ValueError):  # this order is not the one
            _, decoded = _decode_exchange(source, [replace(field, order=order)], vector)
            if _shown(decoded.values[0]) == wanted:
                return f'; with order = "{order}" it is right'
    return ""


def _finished(fields: Sequence[Field], decoded: Decoded) -> Decoded:
    """With the powers of ten that stand in other fields."""
    values, null = list(decoded.values), dict(decoded.quality)
    finish(fields, values, null)
    return Decoded(tuple(values), tuple(sorted(null.items())))


def _wrong_with(text: str) -> str:
    """What its checksum should be; empty for a frame that has it."""
    frame = hex_bytes(text)
    if len(frame) >= CRC_BYTES + 2 and checksums.crc16_bytes(frame[:-CRC_BYTES]) == frame[-CRC_BYTES:]:
        return ""
    rightly, added = (checksums.crc16_bytes(part).hex(" ").upper() for part in (frame[:-CRC_BYTES], frame))
    return f"not a Modbus RTU frame with a good CRC: {text}; it should end {rightly}, or have {added} added"


def _pdu(text: str | None) -> bytes:
    return hex_bytes(text or "")[1:-CRC_BYTES]


def _inside(field: Field, request: ReadRequest) -> bool:
    first = field.address or 0
    return field.table is request.table and request.address <= first <= request.address + request.count - field.words


def _word(field: Field, request: ReadRequest, data: bytes) -> int:
    at = (field.address or 0) - request.address
    if field.type == "bit":
        return data[at >> 3] >> (at & 7) & 1
    word = int.from_bytes(data[2 * at : 2 * (at + field.words)])
    return word & field.mask if field.bits else word


# --- serial -----------------------------------------------------------------------------------------------------------


def _decode_frame(
    source: SerialSource, fields: Sequence[Field], vector: VectorSchema
) -> tuple[Sequence[Field], Decoded]:
    """The fields of the frame and their values; raises ValueError when the way back differs."""
    for step in source.setup:
        send, answer = declared.told(step, _address(source))
        if answer and send == hex_bytes(vector.request or ""):
            if list(framing.FrameReader(answer, in_step=True).feed(hex_bytes(vector.response or ""))):
                return (), Decoded((), ())
            raise ValueError("this does not answer its setup")
    channel, name = _channel(source, vector)
    told = _parse_of(source, channel)
    inside = [field for field in fields if not name or field.part.startswith(f"{name}.")]
    decoded = _decode_bytes(source, told, inside, name, hex_bytes(vector.frame or vector.response or ""))
    parts = encode_parts(inside, decoded.values)
    content = parse.frame_content(told, {part.rpartition(".")[2]: value for part, value in parts.items()})
    if _decode_bytes(source, told, inside, name, framing.wrap(source.framing, content)).values != decoded.values:
        raise ValueError(f"encoded and decoded again it has other values; its parts are {_parts_of(source, vector)}")
    return inside, decoded


def _channel(source: SerialSource, vector: VectorSchema) -> tuple[str, str]:
    """What {channel} stood for in the request, and its name; raises ValueError for a request that is not ours."""
    if source.poll is None:
        if vector.frame is None:
            raise ValueError("it sends by itself: frame")
        return "", ""
    for name, channel in source.poll.channels or (("", ""),):
        if declared.request(source.poll, "", channel) == hex_bytes(vector.request or ""):
            return channel, name
    raise ValueError("this is not what it is asked")


def _parse_of(source: SerialSource, channel: str) -> parse.Parse:
    """Of what the device answers to the request for one channel."""
    return declared.reply_parse(source.poll, source.parse, "", channel) if source.poll else source.parse


def _parts_of(source: SerialSource, vector: VectorSchema) -> str:
    """As the profile takes the frame apart, to be compared with the maker's table."""
    channel, name = _channel(source, vector)
    (frame,) = framing.FrameReader(source.framing, in_step=True).feed(hex_bytes(vector.frame or vector.response or ""))
    found = declared.named(name, parse.parts(_parse_of(source, channel), frame))
    return ", ".join(f"{part} = {value!r:.40}" for part, value in list(found.items())[:PARTS_SHOWN]) or "none"


def _decode_bytes(source: SerialSource, told: parse.Parse, fields: Sequence[Field], name: str, data: bytes) -> Decoded:
    frames = list(framing.FrameReader(source.framing, in_step=True).feed(data))
    if len(frames) != 1:
        begins, ends = data[:ENDS_SHOWN].hex(" ").upper(), data[-ENDS_SHOWN:].hex(" ").upper()
        raise ValueError(
            f"{len(frames)} good frames in it, not 1; it begins {begins} and ends {ends}, {len(data)} bytes:"
            " start, end, length or checksum of [serial.framing] says otherwise"
        )
    return decode_parts(fields, declared.named(name, parse.parts(told, frames[0])))


# --- protocols --------------------------------------------------------------------------------------------------------


def _decode_visit(
    source: ProtocolSource, fields: Sequence[Field], vector: VectorSchema
) -> tuple[Sequence[Field], Decoded]:
    """The fields that the vector names, read in the recorded visit; raises ValueError when the way back differs."""
    if not vector.exchange:
        raise ValueError("all that is said in one visit is needed: exchange")
    address = source.address if vector.address is None else vector.address
    inside = [field for field in fields if field.name in vector.values or field.name in vector.quality]
    wanted = tuple(field.part for field in inside)
    recorded = [said(text) for text in vector.exchange]
    visit = bounded.visit(source.place, address, wanted)
    found, spoken = rehearsal.rehearse(visit, rehearsal.recorded(recorded), source.line.baud)
    if _of_us(spoken) != _of_us([one for one in recorded if isinstance(one, Said)]):
        raise ValueError(f"we say {' | '.join(data.hex(' ') for data in _of_us(spoken))}")
    decoded = decode_parts(inside, bounded.told(found))
    twin = rehearsal.device(plugins.find(source.protocol), address, encode_parts(inside, decoded.values))
    again, _ = rehearsal.rehearse(bounded.visit(source.place, address, wanted), twin, source.line.baud)
    if decode_parts(inside, bounded.told(again)).values != decoded.values:
        raise ValueError("encoded and decoded again it has other values")
    return inside, decoded


def said(text: str) -> Said | SetBaud:
    """One line of an `exchange`."""
    return SetBaud(int(text[2:])) if text[0] == "=" else Said(text[0] == ">", hex_bytes(text[2:]))


def _of_us(spoken: Sequence[Said]) -> list[bytes]:
    return [one.data for one in rehearsal.joined(spoken) if one.ours]
