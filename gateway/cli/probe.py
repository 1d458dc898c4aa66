"""gateway probe: a stretch of registers in every type and order side by side, what looks like a value marked."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from gateway.cli import endpoint
from gateway.cli.check import WRONG_FILE
from gateway.clock.kernel import SystemClock
from gateway.control.client import SocketClient
from gateway.errors import GatewayError
from gateway.profile import readings
from gateway.profile.fingerprint import Fingerprints
from gateway.profile.readings import ORDERS, PAIRS, Best, plausible, reading
from gateway.profile.types import serial_line
from gateway.protocols import modbus_pdu
from gateway.south.jobs.identify import Identifier
from gateway.south.jobs.probe import TABLES_OF_BITS, Ended, Refused, Words, read_stretch
from gateway.south.jobs.ways import Way
from gateway.text import words

EXIT_NOTHING = 1
EXIT_INTERRUPTED = 130
TIMEOUT_MS = 1000.0
COLUMNS_MAX = 1000  # of any table
DEFAULT_LINE = "9600 8N1"
ADDRESS_MAX = 0xFFFF
MARK = "*"
TEXT = {
    "en": {
        "address": "addr",
        "text": "txt",
        "refused": "refused: exception {}",
        "no": "exc. {}",
        "none": "All refused: try --table {}.",
        "or": " or ",
        "nothing": "no good answer from {:#06x} on: {}",
        "says": "It says of itself: {}",
        "mute": "It does not say who it is (function 43/14).",
        "best": "Most sense: {} {}, from {} registers on",
        "even": "even",
        "odd": "odd",
        "legend": "* may be a value (0.001 to 10 000 000); two registers are read from that address on",
        "on": "on",
        "off": "off",
    },
    "vi": {
        "address": "địa chỉ",
        "text": "chữ",
        "refused": "từ chối: mã lỗi {}",
        "no": "lỗi {}",
        "none": "Thiết bị từ chối tất cả: thử --table {}.",
        "or": " hoặc ",
        "nothing": "từ {:#06x} không có trả lời tốt: {}",
        "says": "Thiết bị tự xưng: {}",
        "mute": "Thiết bị không tự xưng tên (hàm 43/14).",
        "best": "Hợp lý nhất: {} {}, bắt đầu ở thanh ghi {}",
        "even": "chẵn",
        "odd": "lẻ",
        "legend": "* có thể là giá trị (0,001 đến 10 000 000); hai thanh ghi đọc từ địa chỉ đó",
        "on": "bật",
        "off": "tắt",
    },
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    target: str
    unit_id: int
    stretch: str  # FIRST or FIRST-LAST
    table: str = "holding"
    line: str = ""  # "" = that of the running gateway's bus, or DEFAULT_LINE
    socket: Path = Path("/run/gateway/control.sock")


@dataclass(slots=True)
class Probed:
    """What came of it."""

    words: dict[int, int] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)  # address: exception
    ended: Ended | None = None
    texts: tuple[tuple[int, str], ...] = ()


def show(wanted: Wanted, lang: str, *, as_json: bool) -> int:
    """Exit 0 when something could be read, 1 when nothing, 2 for wrong arguments, 130 on Ctrl-C."""
    probed, clock = Probed(), SystemClock("system")
    try:
        first, last = stretch(wanted.stretch)
        serial_line(wanted.line or DEFAULT_LINE)  # a wrong one is told, also where it is not used
        asyncio.run(_probe(wanted, first, last, clock, probed))
        code = 0 if probed.words else EXIT_NOTHING
    except ValueError as error:
        print(error, file=sys.stderr)
        return WRONG_FILE
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except GatewayError as error:
        print(endpoint.told(error, lang), file=sys.stderr)
        code = EXIT_NOTHING
    finally:
        clock.close()
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(plain(wanted, probed)) + b"\n")
    elif probed.words or probed.refused or probed.ended:
        _print(Console(), wanted, probed, lang)
    return code


def stretch(text: str) -> tuple[int, int]:
    """Text like 0x46, 0-79 or 0x5B00-0x5B40; raises ValueError."""
    first, dash, last = text.partition("-")
    try:
        ends = int(first, 0), int(last, 0) if dash else int(first, 0)
    except ValueError:
        raise ValueError(f"{text!r}: FIRST or FIRST-LAST, as in 0-79 or 0x5B00-0x5B40") from None
    if not 0 <= ends[0] <= ends[1] <= ADDRESS_MAX:
        raise ValueError(f"{text!r}: from 0 to 0xFFFF, the lower first")
    return ends


def plain(wanted: Wanted, probed: Probed) -> dict[str, Any]:
    """For programs: each register as it came; what may be a value in it is for them to judge."""
    best = _best(probed)
    return {
        "unit_id": wanted.unit_id,
        "table": wanted.table,
        "words": {str(address): word for address, word in probed.words.items()},
        "refused": {str(address): code for address, code in probed.refused.items()},
        "ended": None if probed.ended is None else [probed.ended.address, probed.ended.cause.code],
        "says": [[number, text] for number, text in probed.texts],
        "best": None if best is None else {"type": best.type, "order": best.order, "odd": best.odd},
    }


def tables(probed: Probed, console: Console, lang: str) -> Sequence[Table]:
    """The fewest that fit: all types side by side; one for each type of two registers; on a phone without the rest."""
    if not probed.words:
        return [_table(probed, (), lang)]
    shown = [_table(probed, PAIRS, lang)]
    if not _fit(shown, console):
        shown = [_table(probed, (type_,), lang) for type_ in PAIRS]
    if not _fit(shown, console):
        shown = [_table(probed, (), lang), *(_table(probed, (type_,), lang, ones=False) for type_ in PAIRS)]
    return shown


def _fit(shown: Sequence[Table], console: Console) -> bool:
    unbounded = console.options.update(max_width=COLUMNS_MAX)
    return all(Measurement.get(console, unbounded, one).maximum <= console.width for one in shown)


async def _probe(wanted: Wanted, first: int, last: int, clock: SystemClock, probed: Probed) -> None:
    place = await endpoint.find(wanted.target, SocketClient(wanted.socket, endpoint.PATIENCE_S), clock)
    way = place.way or (Way("rtu", serial_line(wanted.line or DEFAULT_LINE)) if place.serial else Way("tcp"))
    if wanted.line and way.serial and way != Way("rtu", serial_line(wanted.line)):
        raise endpoint.BadLine(str(way))
    table = modbus_pdu.Table(wanted.table)
    async with place.opens(way) as asks:
        async for step in read_stretch(asks, wanted.unit_id, table, first, last, TIMEOUT_MS):
            if isinstance(step, Words):
                probed.words.update(enumerate(step.words, step.address))
            elif isinstance(step, Refused):
                probed.refused[step.address] = step.exception
            else:
                probed.ended = step
        if probed.ended is None:
            probed.texts = await Identifier(Fingerprints(()), clock).texts(asks, wanted.unit_id, TIMEOUT_MS)


def _print(console: Console, wanted: Wanted, probed: Probed, lang: str) -> None:
    said = TEXT.get(lang, TEXT["en"])
    if not probed.words and not probed.refused:
        pass  # what follows says why
    elif wanted.table in TABLES_OF_BITS:
        console.print(_bits(probed, said))
    else:
        for table in tables(probed, console, lang):
            console.print(table)
            console.print()
        if probed.words:
            console.print(f"[dim]{said['legend']}[/]", highlight=False)
    if probed.refused and not probed.words and probed.ended is None:
        others = said["or"].join(str(other) for other in modbus_pdu.Table if other != wanted.table)
        console.print(f"[yellow]{said['none'].format(others)}[/]", highlight=False)
    if wanted.table not in TABLES_OF_BITS and (best := _best(probed)):
        line = said["best"].format(best.type, best.order, said["odd" if _starts_odd(probed, best) else "even"])
        console.print(f"[green]{line}[/]", highlight=False)
    if probed.ended is not None:
        reason = words.title(probed.ended.cause.code, lang)
        console.print(f"[red]{said['nothing'].format(probed.ended.address, reason)}[/]", highlight=False)
    else:
        texts = ", ".join(text for _, text in probed.texts if text)
        console.print(escape(said["says"].format(texts)) if texts else f"[dim]{said['mute']}[/]", highlight=False)


def _table(probed: Probed, types: Sequence[str], lang: str, *, ones: bool = True) -> Table:
    """`ones`: with what each register is alone."""
    said, best = TEXT.get(lang, TEXT["en"]), _best(probed)
    heads = ("hex", "u16", "i16", said["text"]) if ones else ()
    table = Table(said["address"], *heads, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for type_ in types:
        for order in ORDERS:
            table.add_column(f"{type_} {order}" if order == "ABCD" or len(types) > 1 else order)
    for column in table.columns:
        column.justify, column.no_wrap = "right", True
    for address in sorted({*probed.words, *probed.refused}):
        alone = _alone(probed, address, said) if ones else ()
        table.add_row(f"{address:#06x}", *alone, *_paired(probed, address, types, best))
    return table


def _alone(probed: Probed, address: int, said: Mapping[str, str]) -> Sequence[str]:
    """One register: its cells."""
    if address in probed.refused:
        return "-", f"[yellow]{said['no'].format(probed.refused[address])}[/]", "", ""
    word = probed.words[address]
    numbers = [_cell((word,), type_, "ABCD", None) for type_ in ("u16", "i16")]
    return f"{word:04X}", *numbers, escape(readings.text(word))


def _paired(probed: Probed, address: int, types: Sequence[str], best: Best | None) -> Iterator[str]:
    """With the one behind it."""
    word, following = probed.words.get(address), probed.words.get(address + 1)
    for type_ in types:
        for order in ORDERS:
            yield "" if word is None or following is None else _cell((word, following), type_, order, best)


def _cell(pair: Sequence[int], type_: str, order: str, best: Best | None) -> str:
    """A reading; what may be a value stands out, most of all in the order of most sense."""
    value = reading(pair, type_, order)
    if len(pair) == 1:
        return f"{value:.0f}"
    if not plausible(pair, type_, order):
        return f"[dim]{value:.1e}[/]" if type_ == "f32" else f"[dim]{value:.0f}[/]"
    shown = f"{MARK}{value:.7g}" if type_ == "f32" else f"{MARK}{value:.0f}"
    chosen = best is not None and (best.type, best.order) == (type_, order)
    return f"[bold green]{shown}[/]" if chosen else shown


def _bits(probed: Probed, said: Mapping[str, str]) -> Table:
    table = Table(said["address"], "", box=SIMPLE_HEAD, pad_edge=False)
    for address in sorted({*probed.words, *probed.refused}):
        if address in probed.refused:
            state = f"[yellow]{said['refused'].format(probed.refused[address])}[/]"
        else:
            state = f"[green]{said['on']}[/]" if probed.words[address] else said["off"]
        table.add_row(f"{address:#06x}", state)
    return table


def _best(probed: Probed) -> Best | None:
    if not probed.words:
        return None
    first, last = min(probed.words), max(probed.words)
    return readings.best([probed.words.get(address) for address in range(first, last + 1)])


def _starts_odd(probed: Probed, best: Best) -> bool:
    return (min(probed.words) + best.odd) % 2 == 1
