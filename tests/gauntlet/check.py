"""Nothing lost unexplained, nothing wrong, no phantom, times right? A judge that reads files, after everything ended.

    python -m tests.gauntlet.check FOLDER

It shares no code with the gateway: `evidence` decodes the spool and the database's answer from their specs.

Rules
G1. Each value that the simulators served is in the database once, equal, within WITHIN_MS of its time, and nothing else
    is there: the rules of `tests.support.checker`. A value need not be there, but may, when it was served
      - in the durability bound before a kill -9 of the gateway (BOUND_MS; OFFLINE_BOUND_MS when it had just been seen
        without a broker) and until it was back, or after its last stop;
      - while the gateway stood still, or while the device or its port were about to go: SLACK_MS around it;
      - in the time of a gap record or of a `rows_dropped` event, as many rows as that says (G6).
    A value that a killed simulator did not write down any more may be in the database: UNWRITTEN_MS before the kill.
    One that came while the gateway (or the simulators) stood still may be late by that, at most by FREEZE_LATE_MS.
G2. Each seq from 1 to the highest known of its epoch has a ledger point or a gap record. None waits on the box but
    what the gateway filed after its last start, without rows: there was no device any more, and it says so to the end.
G3. A batch on the box and its ledger point have the same n and crc; all its rows are in the database, equal.
G4. No seq has two contents. No seq has a ledger point and was never issued.
G5. The rows of one group follow one another in time, batch by batch, in each boot.
G6. No more rows are missing in the time of gap records than these say.
G7. `gateway ioc audit` has counted the same: stored, explained, pending 0, unexplained 0.
G8. There is no dead letter: no fault here makes a row that a database cannot take.
"""

import argparse
import re
import sys
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.gauntlet.evidence import Did, Evidence, Filed, Named, read
from tests.support import checker
from tests.support.checker import Limits, Offence, Outage, Report
from tests.support.checker_matching import Truth, same

WITHIN_MS = 500
P99_MS = 300
BOUND_MS = 2_000  # max_age of a wired gateway, one commit, and a loaded machine
OFFLINE_BOUND_MS = BOUND_MS + 9_000
SLACK_MS = 1_500
UNWRITTEN_MS = 400
FREEZE_LATE_MS = 1_200
SHOWN = 30
_AUDIT = re.compile(
    r"^\S+ (\S+): issued (\d+): stored (\d+), explained (\d+), pending (\d+), expired \d+, unexplained (\d+)",
    re.MULTILINE,
)
_CLASSES = ("issued", "stored", "explained", "pending", "unexplained")
_FIELD_ILL = frozenset(("vanish", "refuse", "half_open"))  # of a bus


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says."""

    report: Report
    complaints: tuple[str, ...]
    forgiven: Counter[str]
    faults: Counter[str]
    batches: int

    @property
    def ok(self) -> bool:
        """Whether no rule was broken."""
        return not self.complaints

    def text(self) -> str:
        """For people."""
        report = self.report
        excused = (
            ", ".join(f"{n} {why}" for why, n in sorted((Counter(report.excused) + self.forgiven).items())) or "none"
        )
        faults = ", ".join(f"{n} {what}" for what, n in sorted(self.faults.items())) or "none"
        lines = [
            f"faults: {faults}",
            f"values served {report.truths}, stored {report.points}, equal {report.matched}; batches {self.batches}",
            f"excused: {excused}",
            f"rows off by ms: p50 {report.dt_ms(0.5)}, p99 {report.dt_ms(0.99)}, max {report.dt_ms(1.0)}",
            "right" if self.ok else f"WRONG: {len(self.complaints)} complaints",
        ]
        lines += [f"  {complaint}" for complaint in self.complaints[:SHOWN]]
        if len(self.complaints) > SHOWN:
            lines.append(f"  and {len(self.complaints) - SHOWN} more")
        return "\n".join(lines)


def judge(folder: Path) -> Verdict:
    """Of a run's folder; raises OSError or ValueError when something is not there."""
    return weigh(read(folder))


def weigh(seen: Evidence) -> Verdict:
    """Pure."""
    truths = [_marked(truth, seen) for truth in seen.truths]
    report = checker.check(truths, seen.points, _outages(seen.done), Limits(WITHIN_MS, P99_MS, half_ms=P99_MS))
    kept, forgiven = _forgiven(report.offences, seen)
    complaints = [str(offence) for offence in kept]
    complaints += [
        text for text in report.complaints if (text[0].isdigit() and "%" in text) or text.startswith("nothing")
    ]
    for rule in (_seqs, _boxes, _order, _gap_rows, _audited):
        complaints += rule(seen)
    complaints += [f"dead letter: {path}" for path in seen.dead_letters]
    faults = Counter(f"{did.what} {did.target}" for did in seen.done if did.what not in {"offline", "stop"})
    return Verdict(report, tuple(complaints), forgiven, faults, len(seen.filed))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 right, 1 wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.gauntlet.check", description="Judge a run by its files.")
    parser.add_argument("folder", type=Path, help="what python -m tests.gauntlet left")
    verdict = judge(parser.parse_args(arguments).folder)
    print(verdict.text())
    return 0 if verdict.ok else 1


# G1: excuses ---------------------------------------------------------------------------------------------------------


def _outages(done: Iterable[Did]) -> list[Outage]:
    """When the gateway was not there; the last stop has no end: nobody was asked any more."""
    done = list(done)
    offline = [did for did in done if did.what == "offline"]
    found = [Outage(did.from_ms, float("inf"), 0) for did in done if did.what == "stop"]
    for did in (did for did in done if (did.what, did.target) == ("kill", "gateway")):
        unseen = any(one.from_ms <= did.from_ms and one.to_ms >= did.from_ms - BOUND_MS for one in offline)
        found.append(Outage(did.from_ms, did.to_ms, OFFLINE_BOUND_MS if unseen else BOUND_MS))
    return found


def _marked(truth: Truth, seen: Evidence) -> Truth:
    """With the reason why it may be missing, if there is one."""
    if truth.fault:
        return truth
    for did in seen.done:
        if did.from_ms - SLACK_MS <= truth.at_ms <= did.to_ms + SLACK_MS and _unsure(did):
            return replace(truth, fault=f"{did.what} {did.target}")
    if any(_covers(one, truth.at_ms) for one in seen.named):
        return replace(truth, fault="gap")
    return truth


def _unsure(did: Did) -> bool:
    """Whether what was said then may have been lost on its way to the gateway, or have found it standing still."""
    return did.target == "simulators" or (did.what in _FIELD_ILL and did.target in _BUSES) or _stood_still(did)


_BUSES = frozenset(("rs485-1", "wind-line", "dust-line", "tcp-1", "tcp-2"))


def _stood_still(did: Did) -> bool:
    return did.what == "freeze" and did.target in {"gateway", "simulators"}


def _covers(one: Named, at_ms: int) -> bool:
    return one.from_ms is None or one.to_ms is None or one.from_ms - WITHIN_MS <= at_ms <= one.to_ms + WITHIN_MS


def _forgiven(offences: Sequence[Offence], seen: Evidence) -> tuple[list[Offence], Counter[str]]:
    """Those that count, and how many do not for which reason."""
    kept, forgiven = [], Counter[str]()
    kills = [did for did in seen.done if (did.what, did.target) == ("kill", "simulators")]
    stills = [did for did in seen.done if _stood_still(did)]
    stored = defaultdict(list)
    for truth in seen.truths:
        stored[truth.key].append(truth)
    for offence in offences:
        extra = offence.what in {"phantom", "duplicate"}
        if extra and any(did.from_ms - UNWRITTEN_MS <= offence.at_ms <= did.from_ms + WITHIN_MS for did in kills):
            forgiven["unwritten"] += 1
        elif extra and any(_late(offence, stored[offence.key], did) for did in stills):
            forgiven["late by a freeze"] += 1
        else:
            kept.append(offence)
    return kept, forgiven


def _late(offence: Offence, truths: Sequence[Truth], did: Did) -> bool:
    """Said while somebody stood still, and heard when that ended."""
    return did.from_ms - WITHIN_MS <= offence.at_ms <= did.to_ms + WITHIN_MS and any(
        abs(offence.at_ms - truth.at_ms) <= FREEZE_LATE_MS
        and did.from_ms - WITHIN_MS <= truth.at_ms <= did.to_ms + WITHIN_MS
        and f"stored {truth.value!r}," in offence.note
        for truth in truths
    )


# G2 to G8 ------------------------------------------------------------------------------------------------------------


def _explained(seen: Evidence) -> dict[str, set[int]]:
    found: dict[str, set[int]] = defaultdict(set)
    for one in seen.named:
        if one.epoch:
            found[one.epoch] |= set(range(one.first, one.last + 1))
    return found


def _highest(seen: Evidence) -> dict[str, int]:
    highest: Counter[str] = Counter()
    for epoch, seqs in seen.ledger.items():
        highest[epoch] = max(seqs)
    for one in (one for one in seen.named if one.epoch):
        highest[one.epoch] = max(highest[one.epoch], one.last)
    for filed in seen.filed:
        highest[filed.epoch] = max(highest[filed.epoch], filed.seq)
    for epoch, next_seq in seen.next_seq.items():
        highest[epoch] = max(highest[epoch], next_seq - 1)
    return highest


def _seqs(seen: Evidence) -> Iterator[str]:
    """G2, G4."""
    explained = _explained(seen)
    for epoch, highest in _highest(seen).items():
        stored = seen.ledger.get(epoch, {})
        tail = _tail(seen, epoch)
        for seq in range(1, highest + 1):
            if seq not in stored and seq not in explained[epoch] and seq not in tail:
                yield f"lost seq     {epoch} {seq}: neither ledger point nor gap record"
        for seq in sorted(seen.unsettled.get(epoch, set()) - tail):
            yield f"unsettled    {epoch} {seq}: still waits on the box"
        for seq, contents in stored.items():
            if len(contents) > 1:
                yield f"used twice   {epoch} {seq}: {sorted(contents)}"
            if seq >= seen.next_seq.get(epoch, seq + 1):
                yield f"phantom seq  {epoch} {seq}: never issued"


def _tail(seen: Evidence, epoch: str) -> set[int]:
    """What was filed after the last stop, has no rows, and still waits: news of the silence at the end of a run."""
    stopped_ms = max((did.from_ms for did in seen.done if did.what == "stop"), default=None)
    waiting = seen.unsettled.get(epoch, set())
    return {
        filed.seq
        for filed in seen.filed
        if filed.epoch == epoch
        and filed.seq in waiting
        and not filed.n
        and stopped_ms is not None
        and filed.t0_ms >= stopped_ms
    }


def _boxes(seen: Evidence) -> Iterator[str]:
    """G3."""
    stored = {(point.device, point.kind, point.at_ms, point.field): point.value for point in seen.points}
    for filed in seen.filed:
        contents = seen.ledger.get(filed.epoch, {}).get(filed.seq, set())
        if contents and contents != {(filed.n, filed.crc)}:
            box = filed.n, filed.crc
            yield f"other batch  {filed.epoch} {filed.seq}: on the box {box}, in the ledger {sorted(contents)}"
        for device, kind, at_ms, name, value in _values(filed):
            found = stored.get((device, kind, at_ms, name))
            if found is None or same(found) != same(value):
                where = f"{filed.epoch} {filed.seq}: {device} {kind}.{name} at {at_ms}"
                yield f"row lost     {where}: box {value!r}, database {found!r}"


def _values(filed: Filed) -> Iterator[tuple[str, str, int, str, float | bool | str]]:
    for group in filed.body.get("g", []):
        for row in group["r"]:
            for name, value in zip(group["f"], row[1:], strict=True):
                if value is not None:
                    yield group["d"], group["k"], filed.t0_ms + row[0], name, value


def _order(seen: Evidence) -> Iterator[str]:
    """G5."""
    last: dict[object, int] = {}
    for filed in seen.filed:
        for group in filed.body.get("g", []):
            key = filed.boot, filed.epoch, group["d"], group["k"], tuple(group["f"])
            for row in group["r"]:
                at_ms = filed.b0_ms + row[0]
                if at_ms <= last.get(key, at_ms - 1):
                    yield f"out of order {filed.epoch} {filed.seq}: {group['d']} {group['k']} at {filed.t0_ms + row[0]}"
                last[key] = at_ms


def _gap_rows(seen: Evidence) -> Iterator[str]:
    """G6: rows of one group that are nearer than half a period are one."""
    named = [one for one in seen.named if one.rows is not None]
    if not named or len(named) != len(seen.named):
        return  # nobody knows how many
    times: dict[object, list[int]] = defaultdict(list)
    for point in seen.points:
        times[point.key].append(point.at_ms)
    for stamps in times.values():
        stamps.sort()
    missing: dict[object, set[int]] = defaultdict(set)
    for truth in (truth for truth in seen.truths if not truth.fault and truth.group is not None):
        if any(_covers(one, truth.at_ms) for one in named) and not _near(times[truth.key], truth.at_ms):
            missing[truth.device, truth.kind, truth.group].add(truth.at_ms // max(truth.every_ms, 1000))
    rows, allowed = sum(map(len, missing.values())), sum(one.rows or 0 for one in named)
    if rows > 2 * allowed + len(missing):  # a group read in two replies may fall on both sides of a period
        yield f"gap too small: {rows} rows are missing in the time of gap records that name {allowed}"


def _near(stamps: Sequence[int], at_ms: int) -> bool:
    at = bisect_left(stamps, at_ms - WITHIN_MS)
    return at < len(stamps) and stamps[at] <= at_ms + WITHIN_MS


def _audited(seen: Evidence) -> Iterator[str]:
    """G7."""
    explained, counted = _explained(seen), {}
    for epoch, *numbers in _AUDIT.findall(seen.audit):
        counted[epoch] = tuple(map(int, numbers))
    for epoch, highest in _highest(seen).items():
        stored, waits = set(seen.ledger.get(epoch, {})), len(_tail(seen, epoch))
        # what waits may have been issued after the last status that came
        ours = [(highest - waits + n, len(stored), len(explained[epoch] - stored), n, 0) for n in range(waits + 1)]
        if counted.get(epoch) not in ours:
            said, here = (dict(zip(_CLASSES, some, strict=False)) for some in (counted.get(epoch, ()), ours[-1]))
            yield f"audit        {epoch}: says {said or 'nothing'}, counted here {here}"
    if "exit 0" not in seen.audit:
        yield f"audit        {seen.audit.strip().splitlines()[-1]}"


if __name__ == "__main__":
    sys.exit(main())
