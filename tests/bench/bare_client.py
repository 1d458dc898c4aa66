"""The least a Modbus RTU client can do: write, wait for so many bytes, then for the silence. No checks, no loop.

What it reaches on an emulated line is what that line gives: the yardstick for ours.
"""

import os
import select
import time
import tty
from pathlib import Path

from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request

REPLY_AROUND = 5  # bytes beside the registers
ANSWER_S = 2.0
BURNT_S = 0.0003


def exchange_s(port: Path, registers: int, silence_s: float, seconds: float) -> float:
    """From one request to the next, on average over so many seconds."""
    fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        tty.setraw(fd)
        asked, sent = encode_rtu(Frame(1, encode_request(ReadRequest(Table.HOLDING, 0, registers)))), list[float]()
        while not sent or sent[-1] - sent[0] < seconds:
            sent.append(time.perf_counter())
            os.write(fd, asked)
            _wait(_heard(fd, REPLY_AROUND + 2 * registers) + silence_s)
    finally:
        os.close(fd)
    return (sent[-1] - sent[0]) / (len(sent) - 1)


def _heard(fd: int, size: int) -> float:
    """When the last of so many bytes came."""
    while size > 0:
        ready, _, _ = select.select([fd], [], [], ANSWER_S)
        assert ready, "the line is silent"
        size -= len(os.read(fd, size))
    return time.perf_counter()


def _wait(until: float) -> None:
    """To the microsecond, and without a core of its own: the other end of the line needs one."""
    time.sleep(max(0.0, until - time.perf_counter() - BURNT_S))
    while time.perf_counter() < until:
        pass
