"""What all servers of one run share."""

import json
from pathlib import Path

from gateway.model import UtcMs
from simulators.device import Answer
from simulators.exchange import Outcome
from simulators.fault import Step
from simulators.moments import Instant, boot_ns
from simulators.registers import Served
from simulators.run import Run
from simulators.truth import TruthLog

AT = Instant(5, UtcMs(6))
ANSWER = Answer(b"", 3, (Served("x", b"\x00\x01", 1.0, None),))


def lines(folder: Path, outcome: Outcome, at: Instant | None) -> list[tuple[str, bool]]:
    """(fault, whether there is a value) of each line that one exchange leaves."""
    run = Run(TruthLog(folder / "truth"))
    run.said(outcome, at, "modbus")
    run.truth.close()
    found = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
    return [(line.get("fault", ""), "value" in line) for line in found]


def outcome(fault: str = "", *, delivered: bool = True) -> Outcome:
    """Of one value."""
    return Outcome("m", "k", ANSWER, (Step(0, b"x"),), fault, delivered)


def test_only_what_was_delivered_is_true(tmp_path: Path) -> None:
    """Not what was spoiled, nor what nobody heard to its end; a fault is told in any case."""
    assert lines(tmp_path, outcome(), AT) == [("", True)]
    assert lines(tmp_path, outcome(), None) == []
    assert lines(tmp_path, outcome("echo"), AT) == [("echo", False), ("echo", True)]
    assert lines(tmp_path, outcome("echo"), None) == [("echo", False)]
    assert lines(tmp_path, outcome("torn", delivered=False), AT) == [("torn", False)]


def test_timetables_count_from_its_begin() -> None:
    """In ms."""
    assert Run(TruthLog(None), began_ns=boot_ns() - 5_000_000_000).now_ms() >= 5000
