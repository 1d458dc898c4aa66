"""gateway scan: find every device of a port or host, name it, and print what to copy into gateway.toml."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.prompt import Confirm

from gateway import sources
from gateway.cli import endpoint, found, interrupts
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.cli.endpoint import Endpoint
from gateway.clock.kernel import SystemClock
from gateway.control.client import SocketClient
from gateway.errors import GatewayError, Invalid
from gateway.profile import load
from gateway.profile.load import Library
from gateway.profile.types import serial_line
from gateway.south.jobs import scan
from gateway.south.jobs.scan import Finding, Found, Nobody, Scan
from gateway.south.jobs.ways import TCP_WAYS, UNIT_IDS, Way, serial_ways

EXIT_NOBODY = 1
EXIT_INTERRUPTED = 130
UNIT_ID_MAX = 255
TEXT = {
    "en": {
        "through": "Through the running gateway, bus {}: its own line only, between its polls.",
        "go_on": "Nobody answers. Ask every unit_id on every line ({} min)?",
        "rerun": "To ask every unit_id on every line: the same command with --all",
        "stopped": "Stopped. So far:",
    },
    "vi": {
        "through": "Qua gateway đang chạy, bus {}: chỉ đường truyền của bus, xen giữa các lần đọc.",
        "go_on": "Không có thiết bị nào trả lời. Hỏi mọi unit_id trên mọi đường truyền ({} phút)?",
        "rerun": "Để hỏi mọi unit_id trên mọi đường truyền: chạy lại lệnh này với --all",
        "stopped": "Đã dừng. Đến lúc này:",
    },
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    target: str
    line: str = ""
    unit_ids: str = ""
    socket: Path = Path("/run/gateway/control.sock")
    profiles: Sequence[Path] = ()
    everything: bool = False  # go on when nobody answered


def show(wanted: Wanted, lang: str, *, as_json: bool) -> int:
    """Exit 0 when somebody was found, 1 when nobody was or it could not be asked, 2 for a wrong file, 130 on Ctrl-C."""
    try:
        numbers = unit_ids(wanted.unit_ids) if wanted.unit_ids else tuple(UNIT_IDS)
        ways = (Way("rtu", serial_line(wanted.line)),) if wanted.line else ()
        with interrupts.held():
            library = load.load(sources.search_path(wanted.profiles))
    except Invalid as invalid:
        sys.stderr.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    except ValueError as error:
        print(error, file=sys.stderr)
        return WRONG_FILE
    return _Shown(wanted, lang, numbers, ways, library, as_json=as_json).run()


def unit_ids(text: str) -> tuple[int, ...]:
    """Text like 1-10,20; raises ValueError."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{text!r}: numbers and ranges, as in 1-10,20")
        numbers += range(int(first), int(last or first) + 1)
    if not numbers or max(numbers) > UNIT_ID_MAX:
        raise ValueError(f"{text!r}: from 0 to {UNIT_ID_MAX}")
    return tuple(dict.fromkeys(numbers))


class _Shown:
    """One run of the command: asks, shows, keeps what was found for the end."""

    def __init__(
        self,
        wanted: Wanted,
        lang: str,
        numbers: tuple[int, ...],
        ways: tuple[Way, ...],
        library: Library,
        *,
        as_json: bool,
    ) -> None:
        self._wanted, self._lang, self._as_json = wanted, lang, as_json
        self._numbers, self._ways = numbers, ways
        self._profiles, self._variants = library.current, library.variants
        self._said = TEXT.get(lang, TEXT["en"])
        self._clock = SystemClock("system")
        self._client = SocketClient(wanted.socket, endpoint.PATIENCE_S)
        self._told = Console(stderr=True)
        self._out = Console()
        self._findings: list[Finding] = []
        self._place: Endpoint | None = None
        self._stopped = False

    def run(self) -> int:
        try:
            self._run(likely=True, everything=self._wanted.everything)
            if self._nobody and not self._wanted.everything and self._may_go_on():
                self._run(likely=False, everything=True)
        except KeyboardInterrupt:
            self._told.print(f"[yellow]{self._said['stopped']}[/]")
            self._conclude()
            return EXIT_INTERRUPTED
        except GatewayError as error:
            self._conclude()
            self._told.print(endpoint.told(error, self._lang), markup=False, highlight=False)
            return EXIT_NOBODY
        finally:
            self._clock.close()
        self._conclude()
        return EXIT_NOBODY if self._nobody else 0

    def _run(self, *, likely: bool, everything: bool) -> None:
        """Raises KeyboardInterrupt if Ctrl-C came, whatever else became of the scan because of it."""
        try:
            asyncio.run(self._scan(likely=likely, everything=everything))
        except (GatewayError, asyncio.CancelledError):
            if not self._stopped:
                raise
        if self._stopped:
            raise KeyboardInterrupt

    def _stop_on_interrupt(self) -> None:
        """As `asyncio.run` does it, but remembered: a cancelled question may end in an error, or be the last one."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a bug of ours

        def stop() -> None:
            self._stopped = True
            task.cancel()

        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop)

    @property
    def _nobody(self) -> bool:
        return not any(isinstance(finding, Found) for finding in self._findings)

    async def _scan(self, *, likely: bool, everything: bool) -> None:
        self._stop_on_interrupt()
        place = self._place or await endpoint.find(self._wanted.target, self._client, self._clock)
        self._place = place
        ways = self._ways_of(place)
        if place.bus and likely:
            self._told.print(self._said["through"].format(f"[cyan]{place.bus}[/]"))
        job = Scan(
            place.opens,
            ways,
            self._profiles,
            self._clock,
            wanted=self._numbers,
            likely=likely,
            everything=everything,
            variants=self._variants,
        )
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(compact=True))
        with Progress(*columns, console=self._told, transient=True, disable=not self._told.is_terminal) as bar:
            task = bar.add_task("", total=None)
            await job.run(lambda finding: self._take(finding, bar, task))

    def _ways_of(self, place: Endpoint) -> tuple[Way, ...]:
        if place.way:
            if self._ways and self._ways != (place.way,):
                raise endpoint.BadLine(str(place.way))
            return (place.way,)
        return self._ways or (serial_ways(self._profiles) if place.serial else TCP_WAYS)

    def _take(self, finding: Finding, bar: Progress, task: TaskID) -> None:
        if isinstance(finding, scan.Progress):
            description = f"{finding.way}  unit_id {finding.unit_id:>3}"
            total = finding.done_ms + finding.left_ms
            bar.update(task, description=description, completed=finding.done_ms, total=total)
            return
        self._findings.append(finding)
        if self._as_json:
            sys.stdout.buffer.write(orjson.dumps(found.plain(finding)) + b"\n")
            sys.stdout.buffer.flush()
        elif isinstance(finding, Found):
            name = found.model(finding.portrait.matches[0]) if finding.portrait.matches else self._unknown
            bar.console.print(f"[green]+[/] {finding.unit_id:>3}  {finding.way}  {name}", highlight=False)
        elif remark := found.remark(finding, self._lang):
            bar.console.print(remark, highlight=False)

    @property
    def _unknown(self) -> str:
        return found.words(self._lang)["unknown"]

    def _may_go_on(self) -> bool:
        """Ask, where somebody can answer; say how, where nobody can."""
        if self._place is None or not any(isinstance(finding, Nobody) for finding in self._findings):
            return False
        if self._as_json or not (sys.stdin.isatty() and self._told.is_terminal):
            self._told.print(self._said["rerun"], highlight=False)
            return False
        minutes = scan.rest_ms(self._ways_of(self._place), self._profiles, self._numbers) / 60_000
        return Confirm.ask(self._said["go_on"].format(max(1, round(minutes))), console=self._told, default=False)

    def _conclude(self) -> None:
        if self._as_json or self._place is None or not self._findings:
            return
        known = self._place.devices
        if not self._nobody:
            self._out.print(found.table(self._findings, self._lang, known), highlight=False)
        lines = found.site_lines(self._place.address, self._findings, self._lang, known, self._place.bus)
        if lines:
            self._out.print(f"[bold]{found.words(self._lang)['copy']}[/]")
            self._out.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
