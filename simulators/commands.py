"""What `simctl` can say to running simulators, a line each. Pure.

    set meter-1.voltage_l1 231.5          from now on this value; also true, false, "text"
    release meter-1.voltage_l1            as before
    fault meter-1 late by_ms=800 for=5s   one more fault: kind, then its keys and those of its timetable, from now on
    clear meter-1                         all faults of that name, also those of the file
    list                                  what is held, and all faults: * those that are on

The answer is some lines, the last of them `ok`, or `error: ...` alone.
"""

import shlex
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulators.entry import WrongEntry
from simulators.fault import Target
from simulators.in_force import InForce
from simulators.knobs import Knob
from simulators.targets import fault_of

LINE_MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Commands:
    """Of one run."""

    targets: Mapping[str, Target]
    knobs: Mapping[str, Knob]
    in_force: InForce

    def answer(self, line: str, now_ms: int) -> list[str]:
        """Whole: it never raises."""
        try:
            words = shlex.split(line)
            return [*self._done(words, now_ms), "ok"]
        except ValueError as error:  # WrongEntry, or what shlex says of quotes
            return [f"error: {error}"]

    def _done(self, words: Sequence[str], now_ms: int) -> Iterator[str]:
        match words:
            case ["set", key, value]:
                self._knob(key).hold(parsed(value))
            case ["release", key]:
                self._knob(key).held = None
            case ["fault", name, kind, *settings]:
                self._add(name, {"kind": kind} | dict(map(_setting, settings)), now_ms)
            case ["clear", name]:
                if not self.in_force.clear(name):
                    raise WrongEntry(f"{name} has no fault")
            case ["list"]:
                yield from self._listed(now_ms)
            case _:
                raise WrongEntry("set KEY VALUE, release KEY, fault NAME KIND [KEY=VALUE]..., clear NAME or list")

    def _knob(self, key: str) -> Knob:
        if key not in self.knobs:
            raise WrongEntry(f"{key}: no such device.field")
        return self.knobs[key]

    def _add(self, name: str, table: Mapping[str, object], now_ms: int) -> None:
        self.in_force.forget(now_ms)
        self.in_force.add(fault_of(name, self.targets, table, now_ms))

    def _listed(self, now_ms: int) -> Iterator[str]:
        yield from (f"{key} = {knob.held}" for key, knob in self.knobs.items() if knob.held is not None)
        for fault in self.in_force.faults():
            on = "*" if fault.timetable.window(now_ms) is not None else " "
            yield f"{on} {fault.target} {fault.kind} {fault.written}".rstrip()


def parsed(text: str) -> object:
    """As TOML would read it; what it would not is text."""
    try:
        return tomllib.loads(f"it = {text}")["it"] if "\n" not in text else text
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def _setting(word: str) -> tuple[str, object]:
    key, equals, value = word.partition("=")
    if not equals:
        raise WrongEntry(f"{word!r} is no KEY=VALUE")
    return key, parsed(value)
