"""The ground-truth log: every value that was served, written down by the one who made it up.

Format: JSON lines, UTF-8, one object a value, in the order of serving. A reader ignores keys it does not know.

    {"device":"meter-1","field":"voltage_l1","kind":"energy_meter","raw":"43663333","value":230.2,
     "boot_ns":81234567890123,"utc_ms":1795484390240,"via":"modbus","n":17,"group":0,"every_ms":1000}

    device, field  names as in the site file and the profile
    kind           what the device measures: the store's measurement
    raw            hex of what was sent: a field's registers as they stood in the reply; of a serial frame, its part
    value          what the gateway must decode it to, rounded to the field's decimals: number, boolean or text
    boot_ns        CLOCK_BOOTTIME in nanoseconds when the first byte of the reply left
    utc_ms         the wall clock at the same moment
    via            "modbus": an answer to a request; "poll": to one of a serial device; "stream": sent by itself
    n              running number of the reply within the device, from 1: the fields of one reply share it
    group          number of the device's group that the field is reported in, null when it is in none. A read for
                   one group may step over the fields of another: those were served, but not asked for
    every_ms       the period of that group: a stream that speaks more often is sampled
    fault          only where a fault was on: its kind. The value was said in a way that may have been lost: it may be
                   stored, and need not be

A value that must not be believed has no line: its registers mean "no value", it lies outside the field's range, its
reply was spoiled, or it came after the gateway's timeout. A line without `value` tells that a fault was on:

    {"device":"meter-1","fault":"wrong_crc","boot_ns":81234567890123,"utc_ms":1795484390240,"via":"modbus","n":17}

A line is written only after the whole reply was handed to the wire, and for a stream only when somebody had the line
open from the frame's first byte to its last. Lines reach the file at most FLUSH_MS later and at the end; the last line
may be cut short if the simulators are killed, so a reader takes whole lines only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import orjson

from simulators.device import Answer
from simulators.moments import Alarm, Instant, boot_ns, now

FLUSH_MS = 100
BUFFER_BYTES_MAX = 1 << 20  # beyond it the file is written at once


class TruthLog:
    """Appends to one file, or to nothing when there is none."""

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("wb", buffering=0)
        self._waiting = bytearray()

    @property
    def kept(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def left(self, device: str, kind: str, answer: Answer, at: Instant, via: str, fault: str = "") -> None:
        """Note the values of one reply that has left, its first byte at `at`; `fault` when it was not quite right."""
        if self._file is None:
            return
        for one in answer.served:
            line = {
                "device": device,
                "field": one.field,
                "kind": kind,
                "raw": one.raw.hex(),
                "value": one.value,
                "boot_ns": at.boot_ns,
                "utc_ms": at.utc_ms,
                "via": via,
                "n": answer.n,
                "group": one.group.number if one.group else None,
                "every_ms": one.group.every_ms if one.group else None,
            }
            self._add(line | {"fault": fault} if fault else line)

    def fault(self, device: str, fault: str, n: int, via: str) -> None:
        """Note that a fault was on at the exchange with this number."""
        at = now()
        line = {"device": device, "fault": fault, "boot_ns": at.boot_ns, "utc_ms": at.utc_ms, "via": via, "n": n}
        self._add(line)

    def _add(self, line: Mapping[str, object]) -> None:
        if self._file is None:
            return
        self._waiting += orjson.dumps(line) + b"\n"
        if len(self._waiting) > BUFFER_BYTES_MAX:
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the kernel."""
        if self._file is not None and self._waiting:
            left = memoryview(bytes(self._waiting))
            self._waiting.clear()
            while left:
                left = left[self._file.write(left) :]

    async def keep_flushing(self) -> None:
        """Until cancelled; what still waits then is written by `close`."""
        with Alarm() as alarm:
            while True:
                await alarm.until(boot_ns() + FLUSH_MS * 1_000_000)
                self.flush()

    def close(self) -> None:
        """Write the rest; idempotent."""
        self.flush()
        if self._file is not None:
            self._file.close()
            self._file = None
