"""The ground-truth log: every value that was served, written down by the one who made it up.

Format: JSON lines, UTF-8, one object a value, in the order of serving. A reader ignores keys it does not know.

    {"device":"meter-1","field":"voltage_l1","kind":"energy_meter","raw":"43663333","value":230.2,
     "boot_ns":81234567890123,"utc_ms":1795484390240,"via":"modbus","n":17,"group":0,"every_ms":1000}

    device, field  names as in the site file and the profile
    kind           what the device measures: the store's measurement
    raw            hex of what was sent: a field's registers as they stood in the reply; of a serial frame, its part
    value          what the gateway must decode it to, rounded to the field's decimals: number, boolean or text.
                   A field whose registers mean "no value" has no line
    boot_ns        CLOCK_BOOTTIME in nanoseconds when the first byte of the reply left
    utc_ms         the wall clock at the same moment
    via            "modbus": an answer to a request; "stream": sent by itself
    n              running number of the reply within the device, from 1: the fields of one reply share it
    group          number of the device's group that the field is reported in, null when it is in none. A read for
                   one group may step over the fields of another: those were served, but not asked for
    every_ms       the period of that group: a stream that speaks more often is sampled

A line is written only after the whole reply was handed to the wire, and for a stream only when somebody had the line
open from the frame's first byte to its last. Lines reach the file at most FLUSH_MS later and at the end; the last line
may be cut short if the simulators are killed, so a reader takes whole lines only.
"""

from pathlib import Path
from typing import BinaryIO

import orjson

from simulators.device import Answer
from simulators.moments import Alarm, Instant, boot_ns

FLUSH_MS = 100
BUFFER_BYTES_MAX = 1 << 20  # beyond it the file is written at once


class TruthLog:
    """Appends to one file, or to nothing when there is none."""

    def __init__(self, path: Path | None) -> None:
        self._file: BinaryIO | None = None if path is None else path.open("wb", buffering=0)
        self._waiting = bytearray()

    def left(self, device: str, kind: str, answer: Answer, at: Instant, via: str) -> None:
        """Note the values of one reply that has left, its first byte at `at`."""
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
