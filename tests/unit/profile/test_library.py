"""device_profiles: what is wrong in any shipped profile turns one of its vectors red."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.profile import vectors
from gateway.profile.load import Library, load
from gateway.profile.profile import Field, Profile, SerialSource
from gateway.sources import shipped

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


def test_there_are_forty() -> None:
    """The mission's figure, of devices; variants are not counted."""
    assert len(LIBRARY.profiles) >= 40


@pytest.mark.parametrize("ref", sorted(LIBRARY.profiles))
def test_what_is_broken_is_seen(ref: str) -> None:
    """Each address, order, scale, offset, part and checksum, one at a time."""
    profile = LIBRARY.profiles[ref]
    recorded = vectors.read(vectors.path_of(LIBRARY.files[ref]))
    variants = LIBRARY.variants.get(ref, {})
    assert not list(vectors.check(profile, recorded, variants))
    unseen = [what for what, broken in _broken(profile) if not list(vectors.check(broken, recorded, variants))]
    assert unseen == []


def _broken(profile: Profile) -> Iterator[tuple[str, Profile]]:
    for at, field in enumerate(profile.fields):
        for what, wrong in _broken_field(field):
            fields = (*profile.fields[:at], wrong, *profile.fields[at + 1 :])
            yield f"{field.name}: {what}", replace(profile, fields=fields)
    source = profile.source
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
