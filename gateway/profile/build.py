"""A profile as written -> a `Profile`, and one for each variant, with every problem that no single value shows."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from gateway.errors import Problem
from gateway.profile.entry import Entry
from gateway.profile.profile import LENGTH_FIELD, MODEL_FIELD, Field, ModbusSource, Profile
from gateway.profile.schema import FieldSchema, ProfileSchema
from gateway.profile.source import source, source_problems
from gateway.profile.word import BCD, FLOATS
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.sunspec import HEADER_WORDS, Sunspec
from gateway.toml_file import Places, Strict

S = TypeVar("S", bound=Strict)

_HEADER = tuple(
    Field(name, "", "1", "f", 0, table=Table.HOLDING, address=at, type="u16", hidden=True)
    for at, name in enumerate((MODEL_FIELD, LENGTH_FIELD))
)


def build(written: ProfileSchema, places: Places) -> tuple[Profile, list[Problem]]:
    """The profile, to be used only when there are no problems."""
    head = written.profile
    fields: list[Field] = []
    problems = list(source_problems(written, places))
    sunspec = written.modbus.sunspec if written.modbus else None
    fields += _HEADER if sunspec else ()
    for name, described in written.fields.items():
        entry = Entry(name, described, written, places)
        fields.append(entry.build())
        problems += entry.problems
    profile = Profile(
        ref=f"{head.id}@{head.version}",
        kind=head.kind,
        title=head.title.pairs(),
        confidence=head.confidence,
        fields=tuple(fields),
        source=source(written),
    )
    problems += _scale_problems(profile.fields, places)
    if isinstance(profile.source, ModbusSource):
        problems += _map_problems(profile.fields, profile.source, places)
    if not profile.reported:
        problems.append(places.problem("bad_value", "no field is reported: all are hidden or parameters", "fields"))
    return profile, problems


def build_variants(
    written: ProfileSchema, places: Places, known: list[Problem]
) -> tuple[Mapping[str, Profile], list[Problem]]:
    """The variants by name, each a profile of the same ref; problems that are not `known` of the profile already."""
    made: dict[str, Profile] = {}
    problems: list[Problem] = []
    for name in written.variants:
        steps = ("variants", name)
        own = {at[2:]: line for at, line in places.lines.items() if at[:2] == steps and len(at) > len(steps)}
        problems += _variant_problems(written, name, places)
        made[name], found = build(_varied(written, name), Places(places.file, {**places.lines, **own}))
        problems += [replace(one, path=f"variants.{name}.{one.path}") for one in found if one not in known]
    return made, problems


# --- variants ---------------------------------------------------------------------------------------------------------


def _varied(written: ProfileSchema, name: str) -> ProfileSchema:
    """The profile with what the variant says in the place of what it says itself."""
    variant = written.variants[name]
    fields = {key: field for key, field in written.fields.items() if key not in variant.without}
    for key, field in variant.fields.items():
        fields[key] = _over(fields.get(key, FieldSchema()), field)
    modbus = _over(written.modbus, variant.modbus) if written.modbus and variant.modbus else written.modbus
    serial = _over(written.serial, variant.serial) if written.serial and variant.serial else written.serial
    head = written.profile.model_copy(update={"title": variant.title})
    changed = {"profile": head, "fields": fields, "modbus": modbus, "serial": serial, "variants": {}}
    return written.model_copy(update=changed)


def _over(under: S, over: Strict) -> S:
    return under.model_copy(update={key: getattr(over, key) for key in over.model_fields_set})


def _variant_problems(written: ProfileSchema, name: str, places: Places) -> Iterator[Problem]:
    variant = written.variants[name]
    for n, absent in enumerate(variant.without):
        if absent not in written.fields:
            detail = f"{absent} is no field of the profile"
            yield places.problem("bad_variant", detail, "variants", name, "without", n)
    if variant.modbus and not written.modbus:
        yield places.problem("bad_variant", "the profile has no [modbus]", "variants", name, "modbus")
    if variant.serial and (not written.serial or written.serial.protocol):
        detail = "the profile has no [serial], or a module for its protocol"
        yield places.problem("bad_variant", detail, "variants", name, "serial")
    if not (variant.modbus or variant.serial or variant.fields or variant.without):
        yield places.problem("bad_variant", "it differs in nothing", "variants", name)


# --- fields together --------------------------------------------------------------------------------------------------


def _scale_problems(fields: tuple[Field, ...], places: Places) -> Iterator[Problem]:
    """Each `scale_from` names a hidden whole number, and each hidden field is named."""
    named = {field.name: field for field in fields}
    for field in fields:
        if field.scale_from:
            for detail in _bad_scale(field, named.get(field.scale_from)):
                yield places.problem("bad_scale_from", detail, "fields", field.name, "scale_from")
    used = {field.scale_from for field in fields} | {MODEL_FIELD, LENGTH_FIELD}
    for field in fields:
        if field.hidden and field.name not in used:
            yield places.problem("bad_scale_from", "no field takes its scale from it", "fields", field.name, "hidden")


def _bad_scale(field: Field, power: Field | None) -> Iterator[str]:
    if power is None or not power.hidden:
        yield f"{field.scale_from} is {'no field of this profile' if power is None else 'not hidden'}"
    elif power.type in (*FLOATS, *BCD):
        yield f"{power.name} is no whole number"
    elif power.scale not in (1.0, -1.0) or power.tens or power.raw_offset:
        yield f"the scale of {power.name} is 1 or -1, without offset: its value is a power of ten"
    if field.type in FLOATS or field.scale != 1.0 or not field.raw_offset.is_integer():
        yield f"{field.name} must be whole, with a power of ten as its own scale: it is rounded once"


def _map_problems(fields: tuple[Field, ...], source: ModbusSource, places: Places) -> Iterator[Problem]:
    yield from _overlaps(fields, places)
    if source.sunspec:
        yield from _outside(fields, source.sunspec, places)
    for field in fields:
        first = field.address or 0
        if field.type != "bit" and field.words > source.max_registers:
            detail = f"{field.type} takes {field.words} registers, one read at most {source.max_registers}"
            yield places.problem("too_wide", detail, "fields", field.name, "type")
        for table, low, high in source.never_read:
            if field.table is table and first <= high and first + field.words > low:
                yield places.problem("in_hole", f"{low}..{high} are never read", "fields", field.name, "address")


def _outside(fields: tuple[Field, ...], sunspec: Sunspec, places: Places) -> Iterator[Problem]:
    """All of a model's fields are inside it, and none is written: where it stands is only known while it is polled."""
    last = HEADER_WORDS + sunspec.length - 1
    for field in fields:
        if field.table is not Table.HOLDING:
            yield places.problem("wrong_table", "SunSpec models stand in the holding table", "fields", field.name)
        if (field.address or 0) + field.words - 1 > last:
            detail = f"the model ends at {last}"
            yield places.problem("out_of_bounds", detail, "fields", field.name, "address")
        if field.write:
            detail = "fields of a SunSpec model are not written"
            yield places.problem("bad_writable", detail, "fields", field.name, "writable")


def _overlaps(fields: tuple[Field, ...], places: Places) -> Iterator[Problem]:
    """Fields that share bits of a register: each is told once, with the one that has them."""
    taken: dict[tuple[str, int], list[Field]] = {}
    for field in sorted(fields, key=lambda field: (field.address or 0, field.words)):
        registers = [(str(field.table), (field.address or 0) + n) for n in range(field.words)]
        other = next((one for at in registers for one in taken.get(at, []) if one.mask & field.mask), None)
        if other is not None:
            yield places.problem("address_overlap", _shared(other, field), "fields", field.name, "address")
        for at in registers:
            taken.setdefault(at, []).append(field)


def _shared(one: Field, other: Field) -> str:
    if one.bits and other.bits:
        return f"{other.name} has bits of {one.name}"
    return f"{other.name} begins inside {one.name}"
