"""`alarm` and `fast` of a device: what the site file says of limits and of faster polling, and what cannot be meant."""

from collections.abc import Iterator, Sequence
from itertools import chain

from gateway.config.findings import Findings
from gateway.config.gateway import DeviceConfig
from gateway.config.values import AlarmConfig, condition
from gateway.profile.profile import Field
from gateway.profile.types import duration_ms
from gateway.site import Alarm, Device, Fast, Polled
from gateway.toml_file import nearest
from gateway.toml_lines import Step

FAST_MIN_MS = 50
HOLD_MAX_MS = 86_400_000
SPAN_MAX_MS = 7 * 86_400_000  # of `for`, `per` and `stuck`
READINGS_LEAST = 2  # within `per` and `stuck`: less says nothing of a change


def compile_alarms(n: int, entry: DeviceConfig, device: Device, findings: Findings) -> tuple[Alarm, ...]:
    """Of device `n`, field by field, then what is computed; a field that nobody knows has been reported already."""
    found: list[Alarm] = []
    for name, own in entry.fields.items():
        group = _group_of(name, device)
        if own.alarm and group is not None:
            _check_field(name, group, findings, "device", n, "fields", name, "alarm")
            found += _levels(name, own.alarm, group, findings, "device", n, "fields", name, "alarm")
    for one in device.derived:
        name = one.field.name
        levels, group = entry.derived[name].alarm, _group_of(one.trigger, device)
        if levels and group is not None:
            found += _levels(name, levels, group, findings, "device", n, "derived", name, "alarm")
    return tuple(found)


def compile_fast(n: int, entry: DeviceConfig, device: Device, findings: Findings, *, asked: bool) -> Fast | None:
    """Of device `n`; None where it has none, or a problem. `asked`: it says something when it is asked."""
    polled = device.polled
    if entry.fast is None or not polled:
        return None
    at: tuple[Step, ...] = ("device", n, "fast")
    period_ms, hold_ms = duration_ms(entry.fast.every), duration_ms(entry.fast.hold)
    slowest_ms = max(one.period_ms for one in polled)
    name, sign, number = condition(entry.fast.when)
    if not asked:
        findings.report("not_hurried", entry.name, *at)
    if not FAST_MIN_MS <= period_ms < slowest_ms:
        detail = f"{period_ms} ms: from {FAST_MIN_MS} ms to less than its slowest period, {slowest_ms} ms"
        findings.report("impossible_period", detail, *at, "every")
    if hold_ms > HOLD_MAX_MS:
        findings.report("out_of_bounds", "hold: at most one day", *at, "hold")
    _check_condition(entry, name, sign, device, findings, *at, "when")
    field, level = (name, "") if sign else ("", name)
    return Fast(entry.fast.when, level, field, sign, number, period_ms, hold_ms)


def _group_of(field: str, device: Device) -> Polled | None:
    return next((one for one in device.polled if field in one.group.fields), None)


def _levels(name: str, levels: Sequence[AlarmConfig], group: Polled, findings: Findings, *at: Step) -> Iterator[Alarm]:
    _check_levels([alarm.level for alarm in levels], findings, *at)
    for place, level in enumerate(levels):
        alarm = _alarm(name, level)
        _check_spans(alarm, group.period_ms, findings, *at, place)
        yield alarm


def _alarm(field: str, alarm: AlarmConfig) -> Alarm:
    for_ms = duration_ms(alarm.for_) if alarm.for_ else 0
    if alarm.stuck:
        still_s = duration_ms(alarm.stuck) / 1000
        return Alarm(field, alarm.level, "stuck", still_s, still_s, within=alarm.within or 0.0)
    if alarm.rate:
        rate, kind = alarm.rate, "fall" if alarm.below else "rise"
        clear = rate.at if rate.clear is None else rate.clear
        return Alarm(field, alarm.level, kind, rate.at, clear, for_ms, duration_ms(rate.per))
    at = alarm.at or 0.0
    return Alarm(field, alarm.level, "below" if alarm.below else "above", at, _or(alarm.clear, at), for_ms)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _check_field(name: str, group: Polled, findings: Findings, *at: Step) -> None:
    if group.group.letters[group.group.fields.index(name)] == "s":
        findings.report("bad_value", f"{name} is a text: it has no limits", *at)


def _check_levels(levels: Sequence[str], findings: Findings, *at: Step) -> None:
    for place, level in enumerate(levels):
        if level in levels[:place]:
            findings.report("doubled_name", f"{level} is also the level before it", *at, place, "level")


def _check_spans(alarm: Alarm, period_ms: int, findings: Findings, *at: Step) -> None:
    spans = {"for": alarm.for_ms, "rate": alarm.per_ms, "stuck": round(1000 * alarm.at) if alarm.kind == "stuck" else 0}
    for key, span_ms in spans.items():
        if span_ms > SPAN_MAX_MS:
            findings.report("out_of_bounds", f"{key}: at most a week", *at, key)
        elif key != "for" and 0 < span_ms < READINGS_LEAST * period_ms:
            findings.report("impossible_period", f"{key}: {span_ms} ms, but it is read every {period_ms} ms", *at, key)


def _check_condition(entry: DeviceConfig, name: str, sign: int, device: Device, findings: Findings, *at: Step) -> None:
    """Whether there is such a field, or such a level."""
    written = chain((own.alarm for own in entry.fields.values()), (own.alarm for own in entry.derived.values()))
    levels = [alarm.level for alarm in chain.from_iterable(written)]
    known = list(_numbers(device)) if sign else levels
    if name not in known:
        what = "number among the fields" if sign else "level of an alarm"
        findings.report("unknown_field", f"{entry.name} has no {what} named {name}{nearest(name, known)}", *at)


def _numbers(device: Device) -> Iterator[str]:
    read = chain.from_iterable(one.fields for one in device.polled)
    fields: Iterator[Field] = chain(read, (one.field for one in device.derived))
    return (field.name for field in fields if field.letter == "f" and not field.hidden)
