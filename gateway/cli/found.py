"""How a scan's findings look: a table that fits on a phone, JSON lines, and the lines for gateway.toml to copy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from gateway.model import Value
from gateway.profile.fingerprint import Match, Sureness
from gateway.profile.profile import Field, ModbusSource, Profile
from gateway.protocols.modbus_pdu import ReadRequest, function
from gateway.protocols.modbus_pdu import Table as Registers
from gateway.south.jobs.scan import Chatter, Finding, Found, Garbled, Nobody, Skipped
from gateway.south.jobs.ways import Way

TEXT = {
    "en": {
        "unit_id": "unit_id",
        "line": "line",
        "device": "device",
        "fits": "fits",
        "may_be": "may be",
        "or": "or",
        "unknown": "unknown device",
        "answers": "answers function {}",
        "refuses": "refuses all that was asked",
        "says": "says",
        "why": "why",
        "identify": "its identity register",
        "named": "it names itself",
        "vendor": "it names its maker",
        "values": "plausible values",
        "at_unit_id": "its factory unit_id",
        "known": "known as {}",
        "any": "answers to every unit_id",
        "garbled": "something answers, but garbled: two devices with the same number?",
        "chatter": "something talks on this line all the time: another master, or no Modbus at all",
        "skipped": "the port does not take this line: {}",
        "nobody": "Nobody answers.",
        "copy": "For gateway.toml:",
        "other_line": "# unit_id {} answers at {}: set it to {} first, then scan again",
        "no_profile": "# unit_id {}: no profile fits; see `gateway probe`",
        "check": "  # may be; compare one value with the device's display",
        "doubled": "# unit_id {}: two devices? take one off the bus, give the other a number of its own",
    },
    "vi": {
        "unit_id": "unit_id",
        "line": "đường truyền",
        "device": "thiết bị",
        "fits": "khớp",
        "may_be": "có thể là",
        "or": "hoặc",
        "unknown": "thiết bị lạ",
        "answers": "trả lời hàm {}",
        "refuses": "từ chối mọi câu hỏi",
        "says": "tự xưng",
        "why": "vì",
        "identify": "thanh ghi nhận dạng",
        "named": "tự xưng đúng tên mẫu",
        "vendor": "tự xưng đúng hãng",
        "values": "giá trị hợp lý",
        "at_unit_id": "unit_id xuất xưởng",
        "known": "đã khai báo là {}",
        "any": "trả lời mọi unit_id",
        "garbled": "có tín hiệu trả lời nhưng bị nhiễu: hai thiết bị trùng số?",
        "chatter": "đường truyền này luôn có tín hiệu: có master khác, hoặc không phải Modbus",
        "skipped": "cổng không nhận đường truyền này: {}",
        "nobody": "Không có thiết bị nào trả lời.",
        "copy": "Chép vào gateway.toml:",
        "other_line": "# unit_id {} trả lời ở {}: hãy đặt lại thành {} rồi quét lại",
        "no_profile": "# unit_id {}: chưa có hồ sơ nào khớp; xem `gateway probe`",
        "check": "  # có thể là; hãy so một giá trị với màn hình thiết bị",
        "doubled": "# unit_id {}: hai thiết bị? tháo một thiết bị ra, đặt số riêng cho thiết bị kia",
    },
}
UNITS = {"Cel": "°C", "kW.h": "kWh", "V.A": "VA", "1": ""}  # UCUM, as people write it
VALUES_SHOWN = 2
OTHERS_SHOWN = 3
BY_ID = Path("/dev/serial/by-id")


def words(lang: str) -> Mapping[str, str]:
    """The phrases of one language."""
    return TEXT.get(lang, TEXT["en"])


def table(findings: Iterable[Finding], lang: str, known: Mapping[int, str]) -> Table:
    """A row for each device, by line and unit_id; `known` = names of those that the gateway has already."""
    said = words(lang)
    shown = Table(said["unit_id"], said["line"], said["device"], box=SIMPLE_HEAD, pad_edge=False)
    shown.columns[0].justify = "right"
    shown.columns[0].no_wrap = shown.columns[1].no_wrap = True
    for finding in sorted(_of(findings, Found, Garbled), key=lambda one: (str(one.way), one.unit_id)):
        if isinstance(finding, Garbled):
            shown.add_row(str(finding.unit_id), str(finding.way), f"[red]{said['garbled']}[/]")
        else:
            shown.add_row(str(finding.unit_id), str(finding.way), device(finding, lang, known))
    return shown


def device(found: Found, lang: str, known: Mapping[int, str]) -> str:
    """What is known of one device, a line each, as markup; the surest first."""
    said = words(lang)
    matches, texts = found.portrait.matches, [text for _, text in found.portrait.texts if text]
    lines = [_named(matches[0], lang)] if matches else [f"[yellow]{said['unknown']}[/]: {_answered(found, lang)}"]
    lines += [f"[dim]{said['or']} {model(match)}[/]" for match in matches[1 : 1 + OTHERS_SHOWN]]
    if matches:
        lines.append(title(matches[0].profile, lang))
        lines.append(f"[cyan]{', '.join(map(reading, _telling(matches[0].values)))}[/]" if matches[0].values else "")
        lines.append(f"[dim]{said['why']}: {_why(matches[0], said)}[/]")
    if texts:
        lines.append(f"{said['says']}: {escape(', '.join(texts))}")
    if found.any_unit_id:
        lines.append(said["any"])
    if name := known.get(found.unit_id):
        lines.append(f"[cyan]{said['known'].format(escape(name))}[/]")
    return "\n".join(line for line in lines if line)


def remark(finding: Finding, lang: str) -> str:
    """A finding that is no device, in one line of markup."""
    said = words(lang)
    if isinstance(finding, Chatter):
        return f"[red]{finding.way}: {said['chatter']}[/]"
    if isinstance(finding, Skipped):
        return f"[dim]{finding.way}: {escape(said['skipped'].format(finding.cause))}[/]"
    if isinstance(finding, Garbled):
        return f"[red]{finding.unit_id} @ {finding.way}: {said['garbled']}[/]"
    return f"[yellow]{said['nobody']}[/]" if isinstance(finding, Nobody) else ""


def title(profile: Profile, lang: str) -> str:
    """In this language, else as it is."""
    titles = dict(profile.title)
    return titles.get(lang) or titles.get("en") or profile.ref


def model(match: Match) -> str:
    """The profile, and which variant of it."""
    return f"{match.profile.ref} {match.variant}".rstrip()


def reading(pair: tuple[Field, Value]) -> str:
    """One value with its name and unit."""
    field, value = pair
    number = f"{value:.{field.decimals}f}" if isinstance(value, float) else str(int(value))
    return f"{field.name} {number} {UNITS.get(field.unit, field.unit)}".rstrip()


def plain(finding: Finding) -> dict[str, Any] | None:
    """A finding for programs; None for progress."""
    if isinstance(finding, Found):
        portrait = finding.portrait
        return {
            "found": finding.unit_id,
            "line": str(finding.way),
            "any_unit_id": finding.any_unit_id,
            "functions": _functions(portrait.tables),
            "says": [[number, text] for number, text in portrait.texts],
            "matches": [_plain_match(match) for match in portrait.matches],
        }
    if isinstance(finding, Garbled):
        return {"garbled": finding.unit_id, "line": str(finding.way)}
    if isinstance(finding, Chatter):
        return {"chatter": str(finding.way)}
    if isinstance(finding, Skipped):
        return {"skipped": str(finding.way), "cause": finding.cause}
    return {"nobody": [str(way) for way in finding.ways]} if isinstance(finding, Nobody) else None


def site_lines(address: str, findings: Iterable[Finding], lang: str, known: Mapping[int, str], bus: str) -> list[str]:
    """[[bus]] and [[device]] to copy; of a bus that the gateway has only what is new. Empty when there is nothing."""
    said = words(lang)
    found = [one for one in _of(findings, Found) if one.unit_id not in known or not bus]
    if not found:
        return []
    way, _ = Counter(one.way for one in found).most_common(1)[0]
    name = bus or ("rs485-1" if way.serial else "tcp-1")
    lines = [] if bus else list(_bus_lines(name, address, way))
    counted: Counter[str] = Counter()
    for one in sorted(found, key=lambda one: one.unit_id):
        if one.way != way:
            lines.append(said["other_line"].format(one.unit_id, one.way, way))
        elif not one.portrait.matches:
            lines.append(said["no_profile"].format(one.unit_id))
        else:
            lines += _device_lines(one, name, counted, said)
    lines += [said["doubled"].format(one.unit_id) for one in _of(findings, Garbled)]
    return lines


def _of(findings: Iterable[Finding], *kinds: type[Any]) -> list[Any]:
    return [finding for finding in findings if isinstance(finding, kinds)]


def _named(match: Match, lang: str) -> str:
    colour = "green" if match.sureness is Sureness.FITS else "yellow"
    return f"[{colour}]{words(lang)[match.sureness]}[/] [bold]{model(match)}[/]"


def _why(match: Match, said: Mapping[str, str]) -> str:
    return ", ".join(said["at_unit_id" if code == "unit_id" else code] for code in match.why)


def _answered(found: Found, lang: str) -> str:
    said = words(lang)
    numbers = _functions(found.portrait.tables)
    return said["answers"].format(", ".join(map(str, numbers))) if numbers else said["refuses"]


def _functions(tables: Iterable[Registers]) -> list[int]:
    return sorted(function(ReadRequest(table, 0, 1)) for table in tables)


def _telling(values: Sequence[tuple[Field, Value]]) -> list[tuple[Field, Value]]:
    """A few, those that are not 0 before others."""
    return sorted(values, key=lambda pair: not pair[1])[:VALUES_SHOWN]


def _plain_match(match: Match) -> dict[str, Any]:
    return {
        "profile": match.profile.ref,
        "variant": match.variant,
        "sureness": str(match.sureness),
        "bits": round(match.bits, 1),
        "why": list(match.why),
        "values": {field.name: value for field, value in match.values},
    }


def _bus_lines(name: str, address: str, way: Way) -> Iterator[str]:
    yield "[[bus]]"
    yield f'name = "{name}"'
    if way.serial:
        yield f'port = "{lasting(address)}"'
        yield f'line = "{way}"'
    else:
        yield f'host = "{address}"'
        if way.transport == "rtu_over_tcp":
            yield 'framing = "rtu"'
    yield ""


def _device_lines(found: Found, bus: str, counted: Counter[str], said: Mapping[str, str]) -> Iterator[str]:
    for match in _models(found.portrait.matches):
        kind = match.profile.kind.replace("_", "-")[:28]
        counted[kind] += 1
        yield "[[device]]"
        yield f'name = "{kind}-{counted[kind]}"'
        yield f'bus = "{bus}"'
        yield f"unit_id = {found.unit_id}"
        yield f'profile = "{match.profile.ref}"' + (said["check"] if match.sureness is Sureness.MAY_BE else "")
        if match.variant:
            yield f'variant = "{match.variant}"'
        yield ""


def _models(matches: Sequence[Match]) -> Iterator[Match]:
    """The best one; of a SunSpec device, each model that it has for sure: an inverter, and the meter behind it."""
    yield matches[0]
    if _is_model(matches[0]):
        yield from (match for match in matches[1:] if _is_model(match) and match.sureness is Sureness.FITS)


def _is_model(match: Match) -> bool:
    source = match.profile.source
    return isinstance(source, ModbusSource) and source.sunspec is not None


def lasting(port: str) -> str:
    """The name by which a port is found again after a restart, where it has one."""
    links = sorted(BY_ID.iterdir()) if BY_ID.is_dir() else []
    return next((f"by-id/{link.name}" for link in links if link.resolve() == Path(port).resolve()), port)
