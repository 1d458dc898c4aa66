"""device_profiles: what is wrong in any shipped profile turns one of its vectors red."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from gateway.errors import BadReply, NoReply
from gateway.profile import vectors
from gateway.profile.load import Library, load
from gateway.profile.parts import decode_parts
from gateway.profile.profile import Field, LocalSource, ModbusSource, Profile, ProtocolSource, SerialSource
from gateway.profile.schema import ProfileSchema
from gateway.protocols import bounded, declared, parse, plugin, rehearsal
from gateway.protocols.conversation import SetBaud
from gateway.protocols.rehearsal import Said
from gateway.sources import shipped
from gateway.toml_file import read_located

OTHER_ORDER = {"ABCD": "CDAB", "CDAB": "ABCD", "BADC": "DCBA", "DCBA": "BADC"}
OTHER_CHECKSUM = {
    "sum8": "xor",
    "xor": "sum8",
    "sum16_be": "crc16_modbus",
    "twos_complement8": "xor",
    "crc16_mcrf4xx": "crc16_modbus",
    "crc16_sdi12": "crc16_modbus",
}
LIBRARY: Library = load([shipped()])


def _is_protocol(ref: str) -> bool:
    return isinstance(LIBRARY.profiles[ref].source, ProtocolSource)


def test_there_are_forty() -> None:
    """The mission's figure, of devices; variants are not counted."""
    assert len(LIBRARY.profiles) >= 40


FRAMED = [ref for ref, profile in sorted(LIBRARY.profiles.items()) if not isinstance(profile.source, LocalSource)]


@pytest.mark.parametrize("ref", FRAMED)
def test_each_says_how_it_is_wired(ref: str) -> None:
    """In both languages: who connects it has the profile, and not the manual."""
    wiring = read_located(LIBRARY.files[ref], ProfileSchema).value.profile.wiring
    assert wiring is not None
    assert wiring.en != wiring.vi


@pytest.mark.parametrize("ref", FRAMED)
def test_what_is_broken_is_seen(ref: str) -> None:
    """Each address, order, scale, offset, part and checksum, one at a time."""
    profile = LIBRARY.profiles[ref]
    recorded = vectors.read(vectors.path_of(LIBRARY.files[ref]))
    variants = LIBRARY.variants.get(ref, {})
    assert not list(vectors.check(profile, recorded, variants))
    unseen = [what for what, broken in _broken(profile) if not list(vectors.check(broken, recorded, variants))]
    assert unseen == []


@pytest.mark.parametrize("ref", sorted(ref for ref in LIBRARY.profiles if _is_protocol(ref)))
def test_a_flipped_bit_of_a_visit_is_never_a_value(ref: str) -> None:
    """Of any byte that the device sends, one at a time: the values are those of the vector, or fewer, or none."""
    profile = LIBRARY.profiles[ref]
    source = profile.source
    assert isinstance(source, ProtocolSource)
    for vector in vectors.read(vectors.path_of(LIBRARY.files[ref])).value.vector:
        fields = [field for field in profile.fields if field.name in vector.values | vector.quality]
        said = [vectors.said(text) for text in vector.exchange]
        address = source.address if vector.address is None else vector.address
        for spoiled in _spoiled(said):
            visit = bounded.visit(source.place, address, tuple(field.part for field in fields))
            try:
                told, _ = rehearsal.rehearse(visit, rehearsal.recorded(spoiled), source.line.baud)
            except (NoReply, BadReply):
                continue
            found = decode_parts(fields, bounded.told(told)).values
            wanted = [vector.values.get(field.name) for field in fields]
            assert all(value in (None, want) for value, want in zip(found, wanted, strict=True)), (vector.about, found)


@pytest.mark.parametrize(
    ("ref", "variant", "frame"),
    [
        ("maxbotix/hrxl-wr@1", "", b"R123\r"),
        ("maxbotix/hrxl-wr@1", "", b"R01234\r"),
        ("maxbotix/hrxl-wr@1", "", b"R 123\r"),
        ("maxbotix/hrxl-wr@1", "xl", b"R1234\r"),
        ("maxbotix/hrxl-wr@1", "xl", b"R048 P1\r"),
        ("gill/windsonic@1", "", b"\x02Q,+001.59,+002.74,M,00,\x032D\r\n"),
        ("gill/windsonic@1", "", b"\x02Q,001.59,1,M,00,\x032D\r\n"),
        ("gill/windsonic-polled@1", "", b"\x02Q,+001.59,+002.74,M,00,\x032D\r\n"),
    ],
)
def test_a_siblings_frame_is_no_value(ref: str, variant: str, frame: bytes) -> None:
    """Found in use: XL centimetres passed as millimetres, components of a wind as its direction and speed."""
    profile = LIBRARY.variants[ref][variant] if variant else LIBRARY.profiles[ref]
    source = profile.source
    assert isinstance(source, SerialSource)
    told = declared.reply_parse(source.poll, source.parse, source.poll.address, "") if source.poll else source.parse
    with pytest.raises(BadReply):
        parse.parts(told, frame)


def _spoiled(said: Sequence[Said | SetBaud]) -> Iterator[list[Said | SetBaud]]:
    for at, one in enumerate(said):
        if isinstance(one, Said) and not one.ours:
            for n in range(len(one.data)):
                data = bytearray(one.data)
                data[n] ^= 1 << n % 7
                yield [*said[:at], Said(ours=False, data=bytes(data)), *said[at + 1 :]]


def _broken(profile: Profile) -> Iterator[tuple[str, Profile]]:
    for at, field in enumerate(profile.fields):
        for what, wrong in _broken_field(field):
            fields = (*profile.fields[:at], wrong, *profile.fields[at + 1 :])
            yield f"{field.name}: {what}", replace(profile, fields=fields)
    source = profile.source
    if isinstance(source, ModbusSource) and source.sunspec:
        yield "length", replace(profile, source=replace(source, sunspec=replace(source.sunspec, length=1)))
        yield "models", replace(profile, source=replace(source, sunspec=replace(source.sunspec, models=(1,))))
    if isinstance(source, ModbusSource) and source.start:
        request = replace(source.start.request, address=source.start.request.address + 1)
        yield "start", replace(profile, source=replace(source, start=replace(source.start, request=request)))
    if isinstance(source, ProtocolSource):
        others = sorted(set(plugin.OWN.values()) - {source.place})
        yield "protocol", replace(profile, source=replace(source, place=others[0]))
    if isinstance(source, SerialSource) and source.framing.checksum != "none":
        framing = replace(source.framing, checksum=OTHER_CHECKSUM[source.framing.checksum])
        yield "checksum", replace(profile, source=replace(source, framing=framing))


def _broken_field(field: Field) -> Iterator[tuple[str, Field]]:
    if field.address is not None:
        yield "address", replace(field, address=field.address + 1)
    if field.address is not None and field.words > 1:
        yield "order", replace(field, order=OTHER_ORDER[field.order])
    if field.part:
        yield "part", replace(field, part=str(int(field.part) + 1) if field.part.isdigit() else "")
    if field.letter == "f":
        yield "scale", replace(field, scale=field.scale * 10)
        yield "offset", replace(field, raw_offset=field.raw_offset + 1)
