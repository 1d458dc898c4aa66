"""Whether a field may be written with a value, and by which request. Pure: profile, site and value decide.

Two have to agree: the profile says that the field can be written and within which limits (`Field.write`), the site that
it may be (`Device.writable`). What is written must read back as what was asked for: a value that the device can only
hold rounded is refused, with the nearest one it can hold, and never rounded in silence.
"""

from dataclasses import dataclass

from gateway.model import Value
from gateway.profile.codec import Block, encode_value
from gateway.profile.profile import Field, ModbusSource, Writable
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteCoils, WriteRegisters
from gateway.site import Bus, Device

WRITABLE = frozenset({Table.COIL, Table.HOLDING})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing is written: a code of docs/specs/wire.md section 7, and words for people."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Permit:
    """One write that may be made, and how to see what the device holds."""

    field: Field
    value: Value  # as it reads back
    write: WriteCoils | WriteRegisters
    read: ReadRequest
    block: Block


def permit(bus: Bus, device: Device, name: str, value: Value) -> Permit | Refusal:
    """The write of `value` to the field `name`, or why not."""
    field = next((field for field in device.profile.fields if field.name == name), None)
    if field is None:
        return Refusal("no_such_field", f"{device.profile.ref} has no {name}")
    return _forbidden(bus, device, field) or _outside(field, value) or _encoded(field, value)


def limits(write: Writable) -> str:
    """What may be written, for people: "0, 1, 2" or "-5 … 5"; "" where there is no limit."""
    if write.values:
        return ", ".join(f"{value:g}" for value in write.values)
    low, high = ("" if bound is None else f"{bound:g}" for bound in (write.low, write.high))
    return f"{low} … {high}".strip() if low or high else ""


def obstacle(bus: Bus, device: Device, field: Field) -> str:
    """Why this field can never be written, whatever its site allows and whichever the value; "" when it can."""
    reasons = (
        (not isinstance(device.profile.source, ModbusSource), "it does not speak Modbus, and only that is written"),
        (bus.mode == "listen", f"{bus.name} only listens"),
        (field.write is None, f"{device.profile.ref} does not allow it"),
        (field.table not in WRITABLE, f"{field.table} cannot be written"),
        (field.bits is not None, "it is part of a register, and the other bits would be written with it"),
        (bool(field.scale_from), f"its scale is in {field.scale_from}, which may change"),
        (field.letter == "s" and not field.labels, "texts are not written"),
    )
    return next((why for holds, why in reasons if holds), "")


def _forbidden(bus: Bus, device: Device, field: Field) -> Refusal | None:
    if why := obstacle(bus, device, field):
        return Refusal("not_writable", why)
    if field.name not in device.writable:
        return Refusal("not_allowed", f"the site does not allow {field.name} of {device.name} to be written")
    return None


def _outside(field: Field, value: Value) -> Refusal | None:
    """Not of the field's type, or beyond its limits."""
    raw = _number(field, value)
    if raw is None:
        return Refusal("bad_value", f"{value!r} is not {_expected(field)}")
    write = field.write or Writable()
    low, high = (float("-inf") if write.low is None else write.low, float("inf") if write.high is None else write.high)
    if (write.values and raw not in write.values) or not low <= raw <= high:
        return Refusal("out_of_limits", f"allowed: {limits(write)}")
    return None


def _number(field: Field, value: Value) -> float | None:
    """What limits are compared with: of a label its raw number; None for a value of another type."""
    if field.labels:
        return next((float(raw) for raw, label in field.labels if label == value), None)
    if isinstance(value, str) or isinstance(value, bool) != (field.letter == "b"):
        return None
    return float(value)


def _expected(field: Field) -> str:
    if field.labels:
        return "one of " + ", ".join(label for _, label in field.labels)
    return "true or false" if field.letter == "b" else "a number"


def _encoded(field: Field, value: Value) -> Permit | Refusal:
    table, address = field.table, field.address
    if table is None or address is None:
        raise TypeError(f"{field.name} stands in no Modbus table")
    try:
        raw = encode_value(field, value)
    except ValueError as error:
        return Refusal("bad_value", str(error))
    write = WriteCoils(address, (raw,)) if isinstance(raw, bool) else WriteRegisters(address, raw)
    read = ReadRequest(table, address, field.words)
    return Permit(field, value, write, read, Block([field], table, address, field.words))
