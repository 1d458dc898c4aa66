"""A profile as written -> a `Profile`, with every problem that no single value shows."""

import struct
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from gateway.errors import Problem
from gateway.profile.codec import BITS, CODES, FLOATS
from gateway.profile.profile import Field, ModbusSource, Profile
from gateway.profile.quantities import Quantity, quantities
from gateway.profile.schema import FieldSchema, ProfileSchema
from gateway.profile.source import part_types, source, source_problems
from gateway.protocols.modbus_pdu import Table
from gateway.toml_file import Places, Step, nearest

ADDRESSES = 0x10000
ONE_REGISTER = ("u16", "i16", "bit")


def build(written: ProfileSchema, places: Places) -> tuple[Profile, list[Problem]]:
    """The profile, to be used only when there are no problems."""
    head = written.profile
    fields = []
    problems = list(source_problems(written, places))
    for name, entry in written.fields.items():
        field = _FieldBuilder(name, entry, written, places)
        fields.append(field.build())
        problems += field.problems
    profile = Profile(
        ref=f"{head.id}@{head.version}",
        kind=head.kind,
        title=head.title.pairs(),
        confidence=head.confidence,
        fields=tuple(fields),
        source=source(written),
    )
    if isinstance(profile.source, ModbusSource):
        problems += _map_problems(profile.fields, profile.source, places)
    return profile, problems


class _FieldBuilder:
    """One field's way from text to a compiled `Field`."""

    def __init__(self, name: str, entry: FieldSchema, profile: ProfileSchema, places: Places) -> None:
        self._name = name
        self._entry = entry
        self._modbus = profile.modbus
        self._part_types = part_types(profile.serial)
        self._places = places
        self.problems: list[Problem] = []

    def build(self) -> Field:
        entry = self._entry
        self._check_keys()
        quantity = self._quantity()
        tens, scale = _scale(entry)
        raw_offset = Decimal(str(entry.offset)) / Decimal(str(entry.scale or 1))
        kind = self._type()
        whole = kind not in (*FLOATS, "") and scale == 1.0 and raw_offset == raw_offset.to_integral_value()
        field = Field(
            name=self._name,
            quantity=quantity.name,
            unit=entry.unit,
            letter=quantity.letter,
            decimals=self._decimals(max(tens, 0) if whole else None) if self._has_place() else 0,
            low=entry.range[0] if entry.range else None,
            high=entry.range[1] if entry.range else None,
            every=entry.every,
            counter=entry.counter,
            table=self._table(),
            address=entry.address if self._modbus else None,
            type=kind,
            order=self._order(kind),
            raw_offset=float(raw_offset),
            tens=tens,
            scale=scale,
            sentinels=tuple(int(text, 16) for text in entry.sentinels),
            part=entry.part or "",
        )
        self._check(field)
        return field

    def _check_keys(self) -> None:
        """Each key that this kind of profile needs, and none that it does not know."""
        entry = self._entry
        registers = {"address": entry.address, "type": entry.type}
        parts = {"part": entry.part}
        for key, value in (registers if self._modbus else parts).items():
            if value is None:
                self._report("missing_key", f"{key} is needed here", key)
        foreign = parts if self._modbus else {**registers, "order": entry.order, "table": entry.table}
        for key, value in foreign.items():
            if value is not None:
                self._report("unknown_key", f"{key} means nothing in this kind of profile", key)

    def _quantity(self) -> Quantity:
        wanted = self._entry.quantity or self._name
        known = quantities().get(wanted)
        if known is None:
            key = ("quantity",) if self._entry.quantity else ()
            hint = nearest(wanted, list(quantities()))
            self._report("unknown_quantity", f"{wanted} is not in the list of quantities{hint}", *key)
            return Quantity(wanted, self._entry.unit, "f", ())
        if self._entry.unit != known.unit:
            self._report("wrong_unit", f"{wanted} is in {known.unit} everywhere, not in {self._entry.unit}", "unit")
        return known

    def _type(self) -> str:
        if self._modbus:
            return self._entry.type or "u16"
        return self._part_types.get(self._entry.part or "", "")

    def _has_place(self) -> bool:
        """Whether it is known what is read, so that more can be said about it."""
        if self._modbus:
            return self._entry.type is not None
        return self._entry.part is not None and (not self._part_types or self._entry.part in self._part_types)

    def _table(self) -> Table | None:
        if self._modbus is None:
            return None
        table = self._entry.table or self._modbus.table
        if table is None:
            self._report("missing_key", "table is needed here, or in [modbus] for all fields", "table")
        return Table(table or Table.HOLDING)

    def _order(self, kind: str) -> str:
        """An order is one of registers: it means nothing for what takes one."""
        if self._modbus is None or kind in ONE_REGISTER:
            if self._entry.order:
                self._report("type_order", f"{kind} takes one register: it has no order", "order")
            return "ABCD"
        return self._entry.order or self._modbus.order

    def _decimals(self, implied: int | None) -> int:
        """Whole numbers with a decimal scale have their decimals by themselves; others are rounded to what is said."""
        written = self._entry.decimals
        if written is None and implied is None:
            self._report("missing_key", "decimals is needed here", "decimals")
        if written is not None and implied is not None and written != implied:
            self._report("wrong_decimals", f"with this scale it has {implied} decimals, not {written}", "decimals")
        return written if written is not None else implied or 0

    def _check(self, field: Field) -> None:
        if (field.letter == "b") != (field.type == "bit"):
            self._report("wrong_letter", f"{field.quantity} cannot come from {field.type or 'text'}", "type")
        if field.table and (field.table in BITS) != (field.type == "bit"):
            self._report("wrong_table", f"no {field.type} stands in a {field.table} table", "type")
        if field.address is not None and field.address + field.words > ADDRESSES:
            self._report("out_of_bounds", "it goes on behind the last register, 0xFFFF", "address")
        bits = 8 * struct.calcsize(f">{CODES[field.type]}") if field.type in CODES else 0
        for n, raw in enumerate(field.sentinels):
            if not 0 <= raw < 1 << bits:
                self._report("out_of_bounds", f"{raw:#x} is no raw word of {field.type or 'a text'}", "sentinels", n)

    def _report(self, code: str, detail: str, *steps: Step) -> None:
        self.problems.append(self._places.problem(code, detail, "fields", self._name, *steps))


def _scale(entry: FieldSchema) -> tuple[int, float]:
    """(tens, scale): a power of ten is all in `tens`, so that it is a division."""
    if entry.scale is None:
        return 0, 1.0
    parts = Decimal(str(entry.scale)).normalize().as_tuple()
    if parts.digits == (1,) and isinstance(parts.exponent, int):
        return -parts.exponent, 1.0
    return 0, entry.scale


def _map_problems(fields: tuple[Field, ...], source: ModbusSource, places: Places) -> Iterator[Problem]:
    yield from _overlaps(fields, places)
    for field in fields:
        first = field.address or 0
        if field.type != "bit" and field.words > source.max_registers:
            detail = f"{field.type} takes {field.words} registers, one read at most {source.max_registers}"
            yield places.problem("too_wide", detail, "fields", field.name, "type")
        for table, low, high in source.never_read:
            if field.table is table and first <= high and first + field.words > low:
                yield places.problem("in_hole", f"{low}..{high} are never read", "fields", field.name, "address")


def _overlaps(fields: tuple[Field, ...], places: Places) -> Iterator[Problem]:
    spans = sorted((field.table or "", field.address or 0, field.words, field.name) for field in fields)
    for (table, first, words, name), (other_table, other_first, _, other) in pairwise(spans):
        if table == other_table and first + words > other_first:
            yield places.problem("address_overlap", f"{other} begins inside {name}", "fields", other, "address")
