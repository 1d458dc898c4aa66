"""gateway trace: what goes over a bus, frame by frame, and what it means; from the running gateway or a recording."""

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from textwrap import wrap
from typing import Any, TextIO

import orjson
from rich.console import Console
from rich.text import Text

from gateway.cli.status import EXIT_NO_SENSE, EXIT_NOT_RUNNING
from gateway.control.client import NotRunning, SocketClient
from gateway.errors import GatewayError, Malformed
from gateway.south.jobs.traced import GAP_NS, Decoder, Said
from gateway.south.links.trace import Chunk
from gateway.text import words
from gateway.wire import checked

NS_PER_MS, NS_PER_S, NS_MAX = 1_000_000, 1_000_000_000, 1 << 63
HEX_BYTES = (16, 8, 4)  # a line: as many as fit
WIDTH_MIN = 16  # of words
SERIAL = frozenset({"rtu", "stream", "talk"})  # the other buses have no line of their own
LINE_BYTES_MAX, CHUNKS_MAX = 1 << 16, 1_000_000  # of a recording
INDENT = 27  # behind time, gap and arrow
FAILED = 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much, and where to."""

    last: int
    follow: bool
    record: Path | None
    as_json: bool
    lang: str


def show(socket: Path, bus: str, wanted: Wanted) -> int:
    """Exit 1 for a bus that is not there or a file that cannot be used, 3 when no daemon answers."""
    recorded = "/" in bus or "." in bus  # the name of a bus has neither
    answers = _recorded(Path(bus)) if recorded else SocketClient(socket).ask("trace", bus=bus, follow=wanted.follow)
    try:
        with contextlib.ExitStack() as files:
            record = files.enter_context(wanted.record.open("w", encoding="utf-8")) if wanted.record else None
            asyncio.run(_show(answers, wanted, record))
    except KeyboardInterrupt:
        return 0  # the way to end --follow
    except BrokenPipeError:
        return 0  # `| head` has seen enough
    except NotRunning as error:
        return _failed(f"{error}", error, wanted.lang, EXIT_NOT_RUNNING)
    except GatewayError as error:
        code = str(error) if str(error) in {"unknown_bus", "unknown_request", "too_many_follow"} else error.code
        return _failed(f"{bus}: {words.title(code, wanted.lang)}", code, wanted.lang, EXIT_NO_SENSE)
    except OSError as error:
        print(f"{error.filename or bus}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    return 0


def _failed(what: str, error: GatewayError | str, lang: str, status: int) -> int:
    print(f"{what}\n{words.next_step(error, lang)}", file=sys.stderr)
    return status


async def _show(answers: AsyncIterator[object], wanted: Wanted, record: TextIO | None) -> None:
    told = aiter(answers)
    head = _head(await anext(told, None))
    first = _chunks(await anext(told, None))
    listens = head["mode"] == "listen" if "mode" in head else not any(chunk.sent for chunk in first)
    decoder = Decoder(str(head["transport"]), listens=listens)
    view = _View(head, wanted)
    recorder = _Recorder(head, record)
    recorder.keep(first)
    said = deque(_decoded(decoder, first), maxlen=wanted.last or None)
    if not wanted.follow and first:
        said += decoder.quiet(first[-1].at_ns + GAP_NS)
    view.open(empty=not said and not wanted.follow)
    view.print(said)
    async for answer in told:
        view.missed(answer)
        chunks = _chunks(answer)
        recorder.keep(chunks)
        view.print(_decoded(decoder, chunks) if chunks else decoder.quiet(1 << 63))


def _decoded(decoder: Decoder, chunks: Iterable[Chunk]) -> list[Said]:
    return [said for chunk in chunks for said in decoder.feed(chunk)]


class _View:
    """On a terminal, or as JSON lines."""

    def __init__(self, head: Mapping[str, Any], wanted: Wanted) -> None:
        self._head, self._wanted = head, wanted
        self._console = Console(highlight=False, soft_wrap=False)
        self._began_ns: int | None = None

    def open(self, *, empty: bool) -> None:
        if self._wanted.as_json:
            return
        head = self._head
        line = f"  {head['line']}" if head["transport"] in SERIAL else ""
        self._console.print(Text(f"{head['bus']}  {head['transport']}{line}", style="bold"))
        if empty:
            self._console.print(words.title("trace_nothing", self._wanted.lang))

    def print(self, frames: Iterable[Said]) -> None:
        for said in frames:
            self._began_ns = said.at_ns if self._began_ns is None else self._began_ns
            if self._wanted.as_json:
                print(orjson.dumps(self._plain(said)).decode(), flush=True)
            else:
                self._console.print(self._pretty(said))

    def missed(self, answer: object) -> None:
        count = answer.get("missed") if isinstance(answer, dict) else 0
        if count and not self._wanted.as_json:
            self._console.print(Text(sentence("trace_missed", {"count": count}, self._wanted.lang), style="yellow"))

    def _plain(self, said: Said) -> dict[str, object]:
        return {
            "t_ns": said.at_ns,
            "time": self._time(said.at_ns),
            "gap_ns": said.gap_ns,
            "way": "out" if said.sent else "in",
            "unit_id": said.unit_id,
            "bytes": said.data.hex(),
            "code": said.word,
            "text": sentence(said.word, said.values, self._wanted.lang),
        }

    def _pretty(self, said: Said) -> Text:
        """When, how long after the frame before, which way, what; then its bytes."""
        gap = "" if said.gap_ns is None else _gap(said.gap_ns)
        arrow, style = ("→", "cyan") if said.sent else ("←", "green")
        arrow, style = ("!", "yellow") if not said.data else (arrow, "red" if said.bad else style)
        unit = "" if said.unit_id is None else f"unit_id {said.unit_id}: "
        text = Text(f"{self._time(said.at_ns) if said.data else '':>12}", style="dim")
        text.append(f"{gap:>11}  ")
        text.append(f"{arrow} {self._wrapped(unit + sentence(said.word, said.values, self._wanted.lang))}", style=style)
        size = next((size for size in HEX_BYTES if 3 * size <= self._width + 1), HEX_BYTES[-1])
        for at in range(0, len(said.data), size):
            text.append(f"\n{'':{INDENT}}{said.data[at : at + size].hex(' ')}", style="dim")
        return text

    @property
    def _width(self) -> int:
        """Right of times and arrows."""
        return max(self._console.width - INDENT, WIDTH_MIN)

    def _wrapped(self, text: str) -> str:
        return f"\n{'':{INDENT}}".join(wrap(text, self._width, break_on_hyphens=False))

    def _time(self, at_ns: int) -> str:
        """Of the wall clock here; of a recording, seconds from its begin."""
        if "utc_ms" not in self._head:
            return f"{(at_ns - (self._began_ns or 0)) / NS_PER_S:.3f}"
        utc_ms = self._head["utc_ms"] + (at_ns - self._head["boot_ns"]) // NS_PER_MS
        return datetime.fromtimestamp(utc_ms / 1000).astimezone().strftime("%H:%M:%S.%f")[:-3]


class _Recorder:
    """A recording: a line for the bus, then one for each chunk; times from 0."""

    def __init__(self, head: Mapping[str, Any], file: TextIO | None) -> None:
        self._file = file
        self._began_ns: int | None = None
        if file:
            self._write({"v": 1, "bus": head["bus"], "transport": head["transport"], "line": head["line"]})

    def keep(self, chunks: Sequence[Chunk]) -> None:
        if self._file is None:
            return
        for chunk in chunks:
            self._began_ns = chunk.at_ns if self._began_ns is None else self._began_ns
            way = "out" if chunk.sent else "in"
            self._write({"t_ns": chunk.at_ns - self._began_ns, "way": way, "bytes": chunk.data.hex()})
        self._file.flush()

    def _write(self, line: Mapping[str, object]) -> None:
        if self._file:
            self._file.write(orjson.dumps(line).decode() + "\n")


def sentence(word: str, values: Mapping[str, object], lang: str) -> str:
    """A code with its values, in words."""
    name = words.title(f"exception_{values['number']}", lang) if word == "trace_exception" else ""
    return words.title(word, lang).format(**{**values, "name": name})


def _gap(gap_ns: int) -> str:
    ms = gap_ns / NS_PER_MS
    return f"+{ms:.1f} ms" if ms < 1000 else f"+{ms / 1000:.2f} s"  # noqa: PLR2004 - a second


def _head(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or answer.get("v") != 1 or not {"bus", "transport", "line"} <= answer.keys():
        raise Malformed("schema", "this is no trace")
    return answer


def _chunks(answer: object) -> list[Chunk]:
    told = answer.get("chunks") if isinstance(answer, dict) else None
    try:
        return [Chunk(_ns(at_ns), way == "out", bytes.fromhex(data)) for at_ns, way, data in told or ()]
    except (TypeError, ValueError) as error:
        raise Malformed("schema", str(error)) from None


def _ns(written: object) -> int:
    return checked.integer(written, "t_ns", 0, NS_MAX)


async def _recorded(path: Path) -> AsyncIterator[object]:
    """A recording, as the daemon would answer; whoever wrote it, it is bounded and holds no signs for a terminal."""
    with path.open("rb") as file:
        head = _line(file.readline(LINE_BYTES_MAX + 1))
        yield {"v": head.get("v")} | {key: checked.text(head.get(key), key) for key in ("bus", "transport", "line")}
        lines = (_line(line) for line in iter(lambda: file.readline(LINE_BYTES_MAX + 1), b""))
        chunks = [[line.get("t_ns"), line.get("way"), line.get("bytes")] for line in islice(lines, CHUNKS_MAX + 1)]
    if len(chunks) > CHUNKS_MAX:
        raise Malformed("limit", f"more than {CHUNKS_MAX} chunks")
    yield {"chunks": chunks}


def _line(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MAX:
        raise Malformed("limit", f"a line of more than {LINE_BYTES_MAX} bytes")
    try:
        known = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Malformed("schema", str(error)) from None
    if not isinstance(known, dict):
        raise Malformed("schema", "not an object")
    return known
