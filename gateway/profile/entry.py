"""One entry of [fields] -> a `Field`, with what is wrong with it by itself.

What an entry makes is one of four shapes: a number, a boolean, a text, or a label (a text that a number stands for).
Each shape, and each role that a field may have, has keys that mean nothing with it; they are problems, never ignored.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from gateway.errors import Problem
from gateway.profile.codec import TABLES_OF_BITS, encode_value
from gateway.profile.profile import WORDS, Field, Writable
from gateway.profile.quantities import Quantity, quantities
from gateway.profile.schema import FieldSchema, ProfileSchema
from gateway.profile.serial_source import part_types
from gateway.profile.word import BCD, BYTES, FLOATS, size_bytes
from gateway.protocols.modbus_pdu import Table
from gateway.toml_file import Places, nearest
from gateway.toml_lines import Step

ADDRESSES = 0x10000
SHARED = ("u16", "i16")  # registers that several fields may have bits of
ORDERS_OF_TEXT = ("ABCD", "BADC")
LETTERS = {"number": "f", "boolean": "b", "text": "s", "label": "s"}

_OF_REGISTERS = ("order", "table", "byte", "length", "encoding", "scale_from", "hidden", "parameter", "writable")
_OF_WORDS = ("scale", "offset", "sentinels", "bit", "bits", "labels", "not_fitted")
_OF_NUMBERS = ("scale", "offset", "decimals", "range", "counter", "restarts", "scale_from", "not_fitted")
_MEANS_NOTHING = {  # with what: which keys
    "a boolean": (*_OF_NUMBERS, "labels", "byte"),
    "a label": _OF_NUMBERS,
    "a text": (*_OF_NUMBERS, "sentinels", "bit", "bits", "byte"),
    "a number": ("length", "encoding"),
    "a coil": ("sentinels", "bit", "bits"),
    "hidden": ("range", "counter", "restarts", "not_fitted", "scale_from", "parameter", "writable", "every", "labels"),
    "parameter": ("counter", "restarts", "every"),
}


class Entry:
    """One field's way from text to a compiled `Field`."""

    def __init__(self, name: str, entry: FieldSchema, profile: ProfileSchema, places: Places) -> None:
        self._name = name
        self._entry = entry
        self._modbus = profile.modbus
        self._is_local = profile.local is not None
        serial = profile.serial
        self._is_text = serial is not None and (serial.protocol is not None or serial.parse.kind != "binary")
        self._part_types = part_types(profile.serial)
        self._places = places
        self.problems: list[Problem] = []

    def build(self) -> Field:
        """To be used only when there are no problems."""
        entry = self._entry
        self._check_keys()
        quantity = self._quantity()
        shape = self._shape(quantity)
        tens, scale = _scale(entry)
        raw_offset = Decimal(str(entry.offset)) / Decimal(str(entry.scale or 1))
        kind = self._type(shape)
        field = Field(
            name=self._name,
            quantity=quantity.name,
            unit=quantity.unit if entry.unit is None else entry.unit,
            letter=LETTERS[shape],
            decimals=self._decimals(shape, self._implied(kind, tens, scale, raw_offset)),
            low=entry.range[0] if entry.range else None,
            high=entry.range[1] if entry.range else None,
            every=entry.every,
            counter=entry.counter,
            aggregate=_aggregate(quantity, shape, counter=entry.counter),
            table=self._table(),
            address=entry.address if self._modbus else None,
            type=kind,
            order=self._order(kind),
            raw_offset=float(raw_offset),
            tens=tens,
            scale=scale,
            sentinels=tuple(int(text, 16) for text in entry.sentinels),
            bits=self._bits(kind),
            labels=tuple((int(key, 0), text) for key, text in (entry.labels or {}).items()),
            length=entry.length or 0,
            encoding=entry.encoding or "utf-8",
            scale_from=entry.scale_from or "",
            hidden=entry.hidden,
            not_fitted=entry.not_fitted,
            restarts=entry.restarts,
            parameter=entry.parameter,
            write=Writable(entry.writable.low, entry.writable.high, entry.writable.values) if entry.writable else None,
            part=entry.part or "",
        )
        self._check(field, quantity, shape)
        return field

    # --- what it is ---------------------------------------------------------------------------------------------------

    def _quantity(self) -> Quantity:
        """What it means city-wide; nothing for what never reaches the city."""
        entry = self._entry
        wanted = entry.quantity or self._name
        known = quantities().get(wanted)
        if entry.hidden or (entry.parameter and known is None and not entry.quantity):
            return Quantity("", entry.unit or "1", "", ())
        if known is None:
            key = ("quantity",) if entry.quantity else ()
            hint = nearest(wanted, list(quantities()))
            self._report("unknown_quantity", f"{wanted} is not in the list of quantities{hint}", *key)
            return Quantity(wanted, entry.unit or "1", "", ())
        if entry.unit is None:
            self._report("missing_key", "unit is needed here", "unit")
        elif entry.unit != known.unit:
            self._report("wrong_unit", f"{wanted} is in {known.unit} everywhere, not in {entry.unit}", "unit")
        return known

    def _shape(self, quantity: Quantity) -> str:
        entry = self._entry
        if entry.labels is not None:
            return "label"
        if entry.type == "text" or ((self._is_text or self._is_local) and quantity.letter == "s"):
            return "text"
        if (self._is_text or self._is_local) and quantity.letter == "b":
            return "boolean"
        one_bit = entry.bit is not None and quantity.letter != "f" and not entry.hidden
        return "boolean" if entry.type == "bit" or one_bit else "number"

    def _type(self, shape: str) -> str:
        if self._modbus:
            return self._entry.type or "u16"
        if self._is_text or self._is_local:
            return "text" if shape == "text" else ""
        return self._part_types.get(self._entry.part or "", "")

    def _has_place(self) -> bool:
        """Whether it is known what is read, so that more can be said about it."""
        if self._modbus or self._is_local:
            return self._is_local or self._entry.type is not None
        return self._entry.part is not None and (not self._part_types or self._entry.part in self._part_types)

    def _table(self) -> Table | None:
        if self._modbus is None:
            return None
        table = self._entry.table or self._modbus.table
        if table is None:
            self._report("missing_key", "table is needed here, or in [modbus] for all fields", "table")
        return Table(table or Table.HOLDING)

    def _order(self, kind: str) -> str:
        """An order is one of registers: it means nothing for what takes one. A text has its own, or none."""
        written = self._entry.order
        if self._modbus is None:
            return "ABCD"
        if kind == "text":
            if written not in (None, *ORDERS_OF_TEXT):
                detail = f"a text is {' or '.join(ORDERS_OF_TEXT)}: its bytes, or two by two the other way round"
                self._report("type_order", detail, "order")
            return written or "ABCD"
        if kind in WORDS:
            return written or self._modbus.order
        if written:
            self._report("type_order", f"{kind} takes one register: it has no order", "order")
        return "ABCD"

    def _bits(self, kind: str) -> tuple[int, int] | None:
        entry = self._entry
        if sum(one is not None for one in (entry.bit, entry.bits, entry.byte)) > 1:
            self._report("bad_bits", "one of bit, bits and byte")
        if kind in BYTES and self._modbus:
            if entry.bit is not None or entry.bits:
                self._report("bad_bits", f"{kind} is a byte: for bits of a register write u16", "type")
            return (8 if entry.byte == "high" else 0, 8)
        if entry.byte and self._modbus:
            self._report("bad_bits", f"{kind} is no byte: write u8 or i8", "byte")
        return entry.bits if entry.bit is None else (entry.bit, 1)

    def _implied(self, kind: str, tens: int, scale: float, raw_offset: Decimal) -> int | None:
        """The decimals that whole numbers over a power of ten have by themselves."""
        entry = self._entry
        whole = kind not in (*FLOATS, "") and scale == 1.0 and raw_offset == raw_offset.to_integral_value()
        return max(tens, 0) if whole and entry.scale_from is None else 0 if entry.hidden else None

    def _decimals(self, shape: str, implied: int | None) -> int:
        """Whole numbers with a decimal scale have their decimals by themselves; others are rounded to what is said."""
        written = self._entry.decimals
        if shape != "number" or not self._has_place():
            return 0
        if written is None and implied is None:
            self._report("missing_key", "decimals is needed here", "decimals")
        if written is not None and implied is not None and written != implied:
            self._report("wrong_decimals", f"with this scale it has {implied} decimals, not {written}", "decimals")
        return written if written is not None else implied or 0

    # --- what is wrong with it ----------------------------------------------------------------------------------------

    def _check_keys(self) -> None:
        """Each key that this kind of profile needs, and none that it does not know."""
        needed, foreign = ["part"], ["address", "type", *_OF_REGISTERS]
        if self._modbus:
            needed, foreign = ["address", "type"], ["part"]
        elif self._is_local:
            needed, foreign = [], ["part", *foreign, *_OF_WORDS]
        for key in needed:
            if getattr(self._entry, key) is None:
                self._report("missing_key", f"{key} is needed here", key)
        for key in self._written(foreign):
            self._report("unknown_key", f"{key} means nothing in this kind of profile", key)

    def _check(self, field: Field, quantity: Quantity, shape: str) -> None:
        if quantity.letter not in ("", field.letter):
            self._report("wrong_letter", f"{field.quantity} cannot come from a {shape}", "type")
        if field.table and (field.table in TABLES_OF_BITS) != (field.type == "bit"):
            self._report("wrong_table", f"no {field.type} stands in a {field.table} table", "type")
        if field.address is not None and field.address + field.words > ADDRESSES:
            self._report("out_of_bounds", "it goes on behind the last register, 0xFFFF", "address")
        self._check_clashes(field, shape)
        self._check_word(field, shape)
        if field.write and self._modbus:
            for detail in _unwritable(field):
                self._report("bad_writable", detail, "writable")

    def _check_clashes(self, field: Field, shape: str) -> None:
        roles = [f"a {shape}"]
        roles += [role for role, has in (("hidden", field.hidden), ("parameter", field.parameter)) if has]
        roles += ["a coil"] if field.type == "bit" else []
        for role in roles:
            for key in self._written(_MEANS_NOTHING[role]):
                self._report("keys_clash", f"{key} means nothing with {role}", key)
        if field.restarts and not field.counter:
            self._report("keys_clash", "restarts is said of a counter", "restarts")

    def _check_word(self, field: Field, shape: str) -> None:
        """What the raw word of this type can be."""
        if field.type == "text":
            if self._modbus and not field.length:
                self._report("bad_text", "length is needed: how many registers it takes", "length")
            return
        if field.bits and self._has_place() and not self._has_bits(field):
            self._report("bad_bits", f"no bits are taken from {field.type or 'a text'}", "type")
        if shape == "label" and (field.type in FLOATS or field.type in BCD or field.type == "bit"):
            self._report("bad_labels", f"labels name whole numbers, not {field.type}", "type")
        bits = 8 * size_bytes(field) if field.type and field.type != "bit" else 0
        for n, raw in enumerate(field.sentinels):
            if bits and not 0 <= raw < 1 << bits:
                self._report("out_of_bounds", f"{raw:#x} is no raw word of {field.type}", "sentinels", n)
        if not bits and field.sentinels and not self._modbus:
            self._report("out_of_bounds", "a text has no raw word", "sentinels")

    def _has_bits(self, field: Field) -> bool:
        """A number of a binary frame has bits too; of a register, those that may be shared, and the bytes."""
        if self._modbus:
            return field.type in (*SHARED, *BYTES)
        return field.type.startswith("u") and sum(field.bits or ()) <= 8 * size_bytes(field)

    def _written(self, keys: Sequence[str]) -> Iterator[str]:
        return (key for key in keys if key in self._entry.model_fields_set)

    def _report(self, code: str, detail: str, *steps: Step) -> None:
        self.problems.append(self._places.problem(code, detail, "fields", self._name, *steps))


def _aggregate(quantity: Quantity, shape: str, *, counter: bool) -> str:
    """That of its quantity; of counters and states the last one, of all else the mean."""
    if shape != "number":
        return "last"
    return quantity.aggregate or ("last" if counter else "mean")


def _scale(entry: FieldSchema) -> tuple[int, float]:
    """(tens, scale): a power of ten is all in `tens`, so that it is a division."""
    if entry.scale is None:
        return 0, 1.0
    sign, digits, exponent = Decimal(str(entry.scale)).normalize().as_tuple()
    if digits == (1,) and not sign and isinstance(exponent, int):
        return -exponent, 1.0
    return 0, entry.scale


def _unwritable(field: Field) -> Iterator[str]:
    """Why it cannot be written, or why its limits cannot be."""
    write = field.write or Writable()
    limits = (*((write.low, write.high) if write.low is not None and write.high is not None else ()), *write.values)
    if field.table not in (Table.COIL, Table.HOLDING):
        yield f"nothing can be written to a {field.table} table"
    elif field.bits or field.scale_from:
        yield "its register is shared" if field.bits else f"its scale is in {field.scale_from}"
    elif field.type == "text":
        yield "texts are not written"
    elif field.letter != "f":
        if limits:
            yield "limits are of numbers"
    elif not limits:
        yield "a number needs low and high, or values"
    else:
        for limit in limits:
            try:
                encode_value(field, limit)
            except ValueError as error:
                yield str(error)
