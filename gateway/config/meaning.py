"""report, correct and derived of a device: what becomes of its values before they are packed, and what cannot be."""

from collections.abc import Iterator, Mapping, Sequence

from gateway.config.findings import Findings
from gateway.config.gateway import DeviceConfig
from gateway.config.values import DerivedConfig, ReportConfig
from gateway.profile.formula import parse
from gateway.profile.profile import Field, Profile
from gateway.profile.quantities import quantities
from gateway.profile.types import duration_ms
from gateway.site import Correction, Derived, Device, Report
from gateway.toml_file import nearest
from gateway.toml_lines import Step

REPORT_MIN_MS, REPORT_MAX_MS = 1_000, 86_400_000
COLUMNS_MAX = 256  # of a group: docs/specs/wire.md, W-32
COLUMNS_A_FIELD = 4  # folded
RAW = "_raw"
NAME_MAX = 64


def report(n: int, entry: DeviceConfig, field: Field, period_ms: int, findings: Findings) -> Report | None:
    """The field's own policy, else the device's."""
    own = entry.fields.get(field.name)
    written: ReportConfig | None = entry.report
    steps: tuple[Step, ...] = ("device", n, "report")
    if own and own.report:
        written, steps = own.report, ("device", n, "fields", field.name, "report")
    if written is None:
        return None
    made = Report(
        every_ms=duration_ms(written.every) if written.every else 0,
        change=written.change,
        at_least_ms=duration_ms(written.at_least) if written.at_least else 0,
    )
    longest_ms = max(made.every_ms, period_ms)
    if made.every_ms and not max(REPORT_MIN_MS, period_ms) <= made.every_ms <= REPORT_MAX_MS:
        detail = f"{field.name} is read every {period_ms} ms: from that, and 1 s, to one day"
        findings.report("impossible_period", detail, *steps, "every")
    if made.at_least_ms and not longest_ms <= made.at_least_ms <= REPORT_MAX_MS:
        findings.report("impossible_period", f"from {longest_ms} ms to one day", *steps, "at_least")
    if made.every_ms:
        findings.note("report_folds", f"windows of {written.every}", *steps, "every")
    return made


def no_report(n: int, entry: DeviceConfig, findings: Findings) -> None:
    """What is handed in is acknowledged row by row, so each of them has to be kept (ADR 0053)."""
    if entry.report:
        findings.report("report_on_push", entry.name, "device", n, "report")
    for name, own in entry.fields.items():
        if own.report:
            findings.report("report_on_push", f"{entry.name} {name}", "device", n, "fields", name, "report")


def chunks(entry: DeviceConfig, fields: Sequence[Field], policy: Report | None) -> Iterator[Sequence[Field]]:
    """As many groups as it takes for none to be wider than a message allows, whatever is added to their columns."""
    added = len(entry.derived) + sum(bool(own.correct and own.correct.keep_raw) for own in entry.fields.values())
    most = max(1, COLUMNS_MAX // (COLUMNS_A_FIELD if policy and policy.every_ms else 1) - added)
    for first in range(0, len(fields), most):
        yield fields[first : first + most]


def corrections(n: int, entry: DeviceConfig, profile: Profile, findings: Findings) -> Iterator[Correction]:
    """In the order of the file."""
    known = {field.name: field for field in profile.reported}
    for name, own in entry.fields.items():
        written, field = own.correct, known.get(name)
        if written is None or field is None:
            if written is not None and name in {field.name for field in profile.fields}:
                findings.report("not_correctable", f"{name} is not reported", "device", n, "fields", name, "correct")
            continue
        if field.letter != "f":
            findings.report("not_correctable", f"{name} is no number", "device", n, "fields", name, "correct")
        if written.keep_raw and (name + RAW in known or len(name + RAW) > NAME_MAX):
            detail = f"{name}{RAW} cannot be the name of its raw value"
            findings.report("doubled_name", detail, "device", n, "fields", name, "correct", "keep_raw")
        yield Correction(
            field=name,
            slope=written.slope,
            offset=written.offset,
            datum=written.datum,
            by=written.by or "",
            on=str(written.on or ""),
            due=str(written.due or ""),
            keep_raw=written.keep_raw,
        )


def derived(
    n: int, entry: DeviceConfig, device: Device, others: Sequence[Device], findings: Findings
) -> Iterator[Derived]:
    """In the order of the file; `others` are all devices of the bus."""
    taken = {field.name for field in device.profile.fields}
    taken |= {one.field + RAW for one in device.corrections if one.keep_raw}
    known = _usable(device, others)
    for name, written in entry.derived.items():
        steps = ("device", n, "derived", name)
        if name in taken:
            findings.report("doubled_name", f"{device.profile.ref} has {name} already", *steps)
        needed = parse(written.formula).names
        for used in needed:
            if used not in known:
                detail = f"{used}{nearest(used, list(known))}"
                findings.report("unknown_field", detail, *steps, "formula")
        own = [used for used in needed if "." not in used and used in known]
        if not own:
            detail = f"a field of {device.name} itself has to be in it: it says when {name} is computed"
            findings.report("bad_formula", detail, *steps, "formula")
        field = _field(n, name, written, findings)
        yield Derived(field, written.formula, _trigger(device, own) if own else "")


def _usable(device: Device, others: Sequence[Device]) -> Mapping[str, Field]:
    """By the name that a formula has for it: numbers and booleans, as they are after their correction."""
    found = {}
    for other in others:
        for field in other.profile.reported:
            if field.letter != "s":
                found[f"{other.name}.{field.name}"] = field
                if other.name == device.name:
                    found[field.name] = field
    return found


def _trigger(device: Device, own: Sequence[str]) -> str:
    """Of its own fields the one that is read most often, the first of several."""
    periods = {name: polled.period_ms for polled in device.polled for name in polled.group.fields}
    return min(own, key=lambda name: periods.get(name, 0))


def _field(n: int, name: str, written: DerivedConfig, findings: Findings) -> Field:
    quantity = written.quantity or name
    listed = quantities().get(quantity)
    steps = ("device", n, "derived", name)
    if listed is None:
        detail = f"{quantity} is not in the list of quantities{nearest(quantity, list(quantities()))}"
        findings.report("unknown_quantity", detail, *steps, "quantity")
    elif listed.letter != "f":
        findings.report("bad_formula", f"{quantity} is no number", *steps, "quantity")
    elif listed.unit != written.unit:
        detail = f"{quantity} is in {listed.unit} everywhere, not in {written.unit}"
        findings.report("wrong_unit", detail, *steps, "unit")
    same_name = quantities().get(name)
    if same_name is not None and same_name.letter != "f":
        findings.report("bad_formula", f"{name} is no number in this city", *steps)
    low, high = written.range or (None, None)
    return Field(
        name=name,
        quantity=quantity,
        unit=written.unit,
        letter="f",
        decimals=written.decimals,
        low=low,
        high=high,
        aggregate=(listed.aggregate if listed else "") or "mean",
    )
