"""`alarm` and `fast` of a device: what the site file says of limits and of faster polling, and what cannot be meant."""

from collections.abc import Iterator, Sequence
from itertools import chain

from gateway.config.findings import Findings
from gateway.config.gateway import BusConfig, DeviceConfig
from gateway.config.values import AlarmConfig, condition
from gateway.profile.profile import Field
from gateway.profile.types import duration_ms
from gateway.site import Alarm, Fast, Polled
from gateway.toml_file import nearest
from gateway.toml_lines import Step

FAST_MIN_MS = 50
HOLD_MAX_MS = 86_400_000
SPAN_MAX_MS = 7 * 86_400_000  # of `for`, `per` and `stuck`
READINGS_LEAST = 2  # within `per` and `stuck`: less says nothing of a change


def compile_alarms(n: int, entry: DeviceConfig, polled: Sequence[Polled], findings: Findings) -> tuple[Alarm, ...]:
    """Of device `n`, field by field; a field that the profile does not know has been reported already."""
    found = []
    for name, own in entry.fields.items():
        at: tuple[Step, ...] = ("device", n, "fields", name, "alarm")
        group = next((one for one in polled if name in one.group.fields), None)
        if own.alarm and group is not None:
            _check_field(name, group, findings, *at)
            _check_levels([alarm.level for alarm in own.alarm], findings, *at)
            for place, alarm in enumerate(own.alarm):
                found.append(_alarm(name, alarm))
                _check_spans(found[-1], group.period_ms, findings, *at, place)
    return tuple(found)


def compile_fast(
    n: int, entry: DeviceConfig, bus: BusConfig, polled: Sequence[Polled], findings: Findings
) -> Fast | None:
    """Of device `n`; None where it has none, or a problem."""
    if entry.fast is None or not polled:
        return None
    at: tuple[Step, ...] = ("device", n, "fast")
    period_ms, hold_ms = duration_ms(entry.fast.every), duration_ms(entry.fast.hold)
    slowest_ms = max(one.period_ms for one in polled)
    name, sign, number = condition(entry.fast.when)
    if any(field.part for one in polled for field in one.fields) or bus.mode != "poll":
        findings.report("wrong_bus", f"{entry.name}: only a Modbus device that we ask is asked more often", *at)
    if not FAST_MIN_MS <= period_ms < slowest_ms:
        detail = f"{period_ms} ms: from {FAST_MIN_MS} ms to less than its slowest period, {slowest_ms} ms"
        findings.report("impossible_period", detail, *at, "every")
    if hold_ms > HOLD_MAX_MS:
        findings.report("out_of_bounds", "hold: at most one day", *at, "hold")
    _check_condition(entry, name, sign, polled, findings, *at, "when")
    field, level = (name, "") if sign else ("", name)
    return Fast(entry.fast.when, level, field, sign, number, period_ms, hold_ms)


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


def _check_condition(
    entry: DeviceConfig, name: str, sign: int, polled: Sequence[Polled], findings: Findings, *at: Step
) -> None:
    """Whether there is such a field, or such a level."""
    levels = [alarm.level for own in entry.fields.values() for alarm in own.alarm]
    known = list(_numbers(polled)) if sign else levels
    if name not in known:
        what = "number among the fields" if sign else "level of an alarm"
        findings.report("unknown_field", f"{entry.name} has no {what} named {name}{nearest(name, known)}", *at)


def _numbers(polled: Sequence[Polled]) -> Iterator[str]:
    fields: Iterator[Field] = chain.from_iterable(one.fields for one in polled)
    return (field.name for field in fields if field.letter == "f" and not field.hidden)
