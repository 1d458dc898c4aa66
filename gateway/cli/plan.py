"""gateway plan: each read, its fields and time, the load of each bus, what to do about it; what the uplink carries."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, TextIO

import orjson

from gateway.app.traffic import MB, Traffic, month
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.config.compile import compile_file
from gateway.errors import Invalid
from gateway.profile.profile import Line
from gateway.site import Bus, Site, UplinkSettings
from gateway.south.outlook.outlook import GroupOutlook, Outlook, at_once_ms, fast_verdict, outlook
from gateway.south.outlook.remedies import Remedy, remedies
from gateway.south.outlook.talks import talks_outlook
from gateway.south.reads.plan import Read
from gateway.text import words

PERCENT: Final = 100
WIDTH_MAX: Final = 100
INDENT: Final = 6  # of fields under their read
LEFT: Final = frozenset({0, 2})  # columns of words
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "columns": "device|every|read|one cycle|load",
        "stream": "{0} sends by itself; a row every {1}",
        "push": "{0} is handed in by a program of the box",
        "talk": "{0} is asked every {1}; that takes at most {2} when it answers",
        "listen": "only listens: another master asks",
        "empty": "nothing to ask",
        "load": "load {0}",
        "shared": ", {0} where groups that are due together share reads",
        "holds": "every period is held",
        "over": "it would need {0} of its time",
        "late": "a poll of {0} takes {1} at once: one of {2}, due every {3}, is up to {4} late",
        "fast": "with every `fast` in force: load {0}",
        "fast_refused": "with every `fast` in force: load {0}, too much; nothing here will be polled faster",
        "remedies": "what would do, the least effort first:",
        "no_remedy": "nothing that was tried would do: the bus has to be divided among several",
        "period": "{0} every {2} instead of every {1}",
        "periods": "all periods {2} times as long",
        "max_registers": "max_registers of {0} from {1} to {2}, if its maker allows it",
        "line": "{2} baud instead of {1}, in the bus and in every device on it",
        "move": "a bus of their own for {0}",
        "then": "{0}: load {1}",
        "month": "{0} MB in a month of 30 days, both ways, headers and acknowledgements included",
        "batches": "batches ({0}, of {1} rows)",
        "receipts": "receipts",
        "status": "status",
        "rest": "keepalive, connections, catalog",
        "budget": "{0} of the budget of {1} MB",
    },
    "vi": {
        "columns": "thiết bị|mỗi|lệnh đọc|một lượt|tải",
        "stream": "{0} tự gửi; mỗi {1} một dòng số liệu",
        "push": "{0} do một chương trình trên hộp đưa vào",
        "talk": "{0} được hỏi mỗi {1}; nhiều nhất {2} khi nó trả lời",
        "listen": "chỉ nghe: một master khác hỏi",
        "empty": "không có gì để hỏi",
        "load": "tải {0}",
        "shared": ", {0} khi các nhóm đến hạn cùng lúc dùng chung lệnh đọc",
        "holds": "giữ kịp mọi chu kỳ",
        "over": "cần tới {0} thời gian của bus",
        "late": "một lần hỏi {0} chiếm liền {1}: lần hỏi {2}, hạn mỗi {3}, có thể trễ đến {4}",
        "fast": "khi mọi `fast` cùng có hiệu lực: tải {0}",
        "fast_refused": "khi mọi `fast` cùng có hiệu lực: tải {0}, quá mức; ở đây không đọc nhanh hơn được",
        "remedies": "cách khắc phục, từ ít công nhất:",
        "no_remedy": "không cách nào đã thử là đủ: phải chia thiết bị ra nhiều bus",
        "period": "{0} mỗi {2} thay vì mỗi {1}",
        "periods": "mọi chu kỳ dài gấp {2}",
        "max_registers": "max_registers của {0} từ {1} lên {2}, nếu nhà sản xuất cho phép",
        "line": "{2} baud thay vì {1}, ở bus và ở mọi thiết bị trên đó",
        "move": "bus riêng cho {0}",
        "then": "{0}: tải {1}",
        "month": "{0} MB trong một tháng 30 ngày, cả hai chiều, kể cả phần đầu gói và xác nhận",
        "batches": "lô số liệu ({0} lô, mỗi lô {1} dòng)",
        "receipts": "biên nhận",
        "status": "trạng thái",
        "rest": "giữ kết nối, kết nối lại, danh mục",
        "budget": "{0} của hạn mức {1} MB",
    },
}
TRANSPORTS: Final = {
    "rtu": "Modbus RTU",
    "tcp": "Modbus TCP",
    "rtu_over_tcp": "Modbus RTU over TCP",
    "ascii": "Modbus ASCII",
    "udp": "Modbus UDP",
    "stream": "serial",
    "push": "push",
    "talk": "serial, asked",
    "talk_over_tcp": "serial over TCP, asked",
}


def show(path: Path, folders: Sequence[Path], lang: str, out: TextIO, *, as_json: bool = False) -> int:
    """Exit 2 with every problem when the site cannot be compiled."""
    try:
        site = compile_file(path, folders).site
    except Invalid as invalid:
        out.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    if as_json:
        out.write(orjson.dumps(document(site), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        width = min(shutil.get_terminal_size().columns, WIDTH_MAX) if out.isatty() else WIDTH_MAX
        out.writelines(f"{line}\n" for line in text(site, lang, width))
    return 0


def text(site: Site, lang: str, width: int = WIDTH_MAX) -> Iterator[str]:
    """A paragraph a bus and one an uplink; times are modelled, nothing is measured yet."""
    said = WORDS.get(lang, WORDS["en"])
    for bus in site.buses:
        yield f"{bus.name}   {_medium(bus)}   {bus.endpoint}"
        yield from _bus(bus, said, lang, width)
        yield ""
    for uplink in site.uplinks:
        yield f"{uplink.name}   {uplink.network}   {uplink.servers[0].host}:{uplink.servers[0].port}"
        yield from _uplink(uplink, month(site, uplink), said, lang)


def document(site: Site) -> dict[str, Any]:
    """The same, for programs."""
    return {
        "v": 1,
        "buses": [_bus_document(bus) for bus in site.buses],
        "uplinks": [
            {"name": uplink.name, "budget_mb": uplink.budget_mb, "month": _month_document(month(site, uplink))}
            for uplink in site.uplinks
        ],
    }


def duration(ms: int) -> str:
    """50 ms, 1.5 s, 10 min: the largest unit that says it in whole numbers, seconds otherwise."""
    for size_ms, unit in ((3_600_000, "h"), (60_000, "min"), (1000, "s")):
        if ms >= size_ms and ms % size_ms == 0:
            return f"{ms // size_ms} {unit}"
    return f"{ms / 1000:g} s" if ms >= 1000 else f"{ms} ms"  # noqa: PLR2004 - milliseconds of a second


# --- a bus ------------------------------------------------------------------------------------------------------------


def _medium(bus: Bus) -> str:
    return TRANSPORTS[bus.transport] + (f" {_line(bus.line)}" if bus.serial else "")


def _bus(bus: Bus, said: Mapping[str, str], lang: str, width: int) -> Iterator[str]:
    if bus.mode == "listen":
        yield f"  {said['listen']}"
        return
    if bus.transport == "push":
        yield from (f"  {said['push'].format(device.name)}" for device in bus.devices)
        return
    if bus.transport == "stream":
        for device in bus.devices:
            yield f"  {said['stream'].format(device.name, duration(device.polled[0].period_ms))}"
        return
    if bus.talks:
        yield from _talks(bus, said, lang)
        return
    now = outlook(bus)
    if not now.groups:
        yield f"  {said['empty']}"
        return
    yield from _table(now, said, width)
    yield from _verdict(now, said, lang)
    yield from _fast(bus, said)


def _fast(bus: Bus, said: Mapping[str, str]) -> Iterator[str]:
    """Where a device of it has `fast`."""
    hurried = fast_verdict(bus)
    if hurried is not None:
        text = said["fast" if hurried.holds else "fast_refused"].format(_per_cent(hurried.load))
        yield f"  {text}" if hurried.holds else f"  ! {text}"


def _talks(bus: Bus, said: Mapping[str, str], lang: str) -> Iterator[str]:
    talks, verdict = talks_outlook(bus)
    for talk in talks:
        yield f"  {said['talk'].format(talk.device.name, duration(talk.period_ms), f'{talk.cost_ms:.0f} ms')}"
    yield f"  {said['load'].format(_per_cent(verdict.load))}"
    if verdict.holds:
        yield f"  {said['holds']}"
    else:
        yield f"  ! {words.title('bus_overloaded', lang)}: {said['over'].format(_per_cent(verdict.load))}"
    yield from _fast(bus, said)


def _table(now: Outlook, said: Mapping[str, str], width: int) -> Iterator[str]:
    """A line a read, its fields below it."""
    heads = said["columns"].split("|")
    cells = [_cells(group, n) for group in now.groups for n in range(len(group.reads))]
    widths = [max(len(head), *(len(row[at]) for row in cells)) for at, head in enumerate(heads)]
    yield _columns(heads, widths)
    rows = iter(cells)
    for group in now.groups:
        for read, _ in group.reads:
            yield _columns(next(rows), widths)
            yield from _fields(group, read, width)


def _cells(group: GroupOutlook, n: int) -> list[str]:
    read, ms = group.reads[n]
    whose = [group.device.name, duration(group.polled.period_ms)] if n == 0 else ["", ""]
    space = group.device.profile.address_space(group.polled.fields[read.fields[0]])
    request = f"{space} {read.request.address:#06x} +{read.request.count}"
    return [*whose, request, f"{ms:.1f} ms", _per_cent(ms / group.polled.period_ms)]


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    padded = (cell.ljust(widths[at]) if at in LEFT else cell.rjust(widths[at]) for at, cell in enumerate(cells))
    return f"  {'  '.join(padded)}".rstrip()


def _fields(group: GroupOutlook, read: Read, width: int) -> list[str]:
    """A read of a meter has dozens of them."""
    names = " ".join(group.polled.fields[place].name for place in read.fields)
    indent = " " * INDENT
    return textwrap.wrap(names, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _verdict(now: Outlook, said: Mapping[str, str], lang: str) -> Iterator[str]:
    verdict = now.verdict
    gain = said["shared"].format(_per_cent(now.shared_load)) if verdict.load - now.shared_load >= 0.0005 else ""  # noqa: PLR2004 - what is printed
    yield f"  {said['load'].format(_per_cent(verdict.load))}{gain}"
    if verdict.holds:
        yield f"  {said['holds']}"
        return
    yield f"  ! {words.title('bus_overloaded', lang)}: {_why(now, said)}"
    found = remedies(now)
    yield f"    {said['remedies'] if found else said['no_remedy']}"
    for number, remedy in enumerate(found, 1):
        yield f"    {number}. {said['then'].format(_change(remedy, said), _per_cent(remedy.load))}"


def _why(now: Outlook, said: Mapping[str, str]) -> str:
    verdict = now.verdict
    if verdict.blocker is None or verdict.late is None:
        return said["over"].format(_per_cent(verdict.load))
    blocker, late = now.groups[verdict.blocker], now.groups[verdict.late]
    every = duration(late.polled.period_ms)
    return said["late"].format(
        blocker.device.name,
        f"{at_once_ms(blocker, now.groups):.0f} ms",
        late.device.name,
        every,
        f"{verdict.late_ms:.0f} ms",
    )


def _change(remedy: Remedy, said: Mapping[str, str]) -> str:
    ends = remedy.before, remedy.after
    shown = map(duration, ends) if remedy.kind == "period" else map(str, ends)
    return said[remedy.kind].format(", ".join(remedy.what), *shown)


def _bus_document(bus: Bus) -> dict[str, Any]:
    asked = bus.mode != "listen" and not bus.talks and bus.transport not in {"stream", "push"}
    now = outlook(bus if asked else replace(bus, devices=()))
    verdict = talks_outlook(bus)[1] if bus.talks else now.verdict
    hurried = fast_verdict(bus)
    return {
        "name": bus.name,
        "transport": bus.transport,
        "mode": bus.mode,
        "endpoint": bus.endpoint,
        "line": _line(bus.line) if bus.serial else None,
        "load": verdict.load,
        "shared_load": verdict.load if bus.talks else now.shared_load,
        "holds": verdict.holds,
        "blocker": None if now.verdict.blocker is None else now.groups[now.verdict.blocker].device.name,
        "late": None if now.verdict.late is None else now.groups[now.verdict.late].device.name,
        "late_ms": now.verdict.late_ms,
        "fast": None if hurried is None else {"load": hurried.load, "holds": hurried.holds},
        "reads": [_read_document(group, read, ms) for group in now.groups for read, ms in group.reads],
        "remedies": [asdict(remedy) for remedy in remedies(now)],
    }


def _read_document(group: GroupOutlook, read: Read, ms: float) -> dict[str, Any]:
    return {
        "device": group.device.name,
        "period_ms": group.polled.period_ms,
        "table": str(read.request.table),
        "space": group.device.profile.address_space(group.polled.fields[read.fields[0]]),
        "address": read.request.address,
        "count": read.request.count,
        "ms": ms,
        "fields": [group.polled.fields[place].name for place in read.fields],
    }


def _line(line: Line) -> str:
    return f"{line.baud} {line.bits}{line.parity}{line.stop_bits}"


# --- an uplink --------------------------------------------------------------------------------------------------------


def _uplink(uplink: UplinkSettings, traffic: Traffic, said: Mapping[str, str], lang: str) -> Iterator[str]:
    yield f"  {said['month'].format(_mb(traffic.total))}"
    rows_each = f"{traffic.rows / traffic.batches:.3g}" if traffic.batches else "0"
    batches = said["batches"].format(traffic.batches, rows_each)
    parts = [
        (batches, traffic.data),
        *((said[name], getattr(traffic, name)) for name in ("receipts", "status", "rest")),
    ]
    width = max(len(name) for name, _ in parts)
    for name, size in parts:
        yield f"    {name.ljust(width)}  {_mb(size).rjust(8)} MB"
    if uplink.budget_mb is None:
        return
    share = said["budget"].format(_per_cent(traffic.total / MB / uplink.budget_mb), uplink.budget_mb)
    if traffic.total <= uplink.budget_mb * MB:
        yield f"  {share}"
        return
    yield f"  ! {words.title('over_budget', lang)}: {share}"
    yield f"    -> {words.next_step('over_budget', lang)}"


def _month_document(traffic: Traffic) -> dict[str, int]:
    return {**asdict(traffic), "total": traffic.total}


# --- numbers ----------------------------------------------------------------------------------------------------------


def _per_cent(share: float) -> str:
    return f"{PERCENT * share:.1f} %"


def _mb(size: int) -> str:
    return f"{size / MB:.1f}"
