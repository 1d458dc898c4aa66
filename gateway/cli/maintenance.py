"""gateway maintenance: a technician says that a device is in his hands, and for how long."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from gateway.cli.status import EXIT_NO_SENSE, EXIT_NOT_RUNNING
from gateway.control import client
from gateway.control.client import NotRunning, SocketClient
from gateway.errors import GatewayError
from gateway.profile.types import duration_ms
from gateway.text import words

WRONG_USE = 2


@dataclass(frozen=True, slots=True)
class Work:
    """What was asked for on the command line."""

    device: str
    length: str
    by: str
    why: str
    calibration: bool


def ask(socket: Path, work: Work, lang: str) -> int:
    """Exit 0 when it is so, 1 when it was refused, 2 for a time that is none, 3 without a gateway."""
    try:
        length_ms = duration_ms(work.length)
    except PydanticCustomError as error:
        return _failed("bad_duration", error.message(), lang, WRONG_USE)
    asked = {"for_ms": length_ms, "by": work.by, "why": work.why, "calibration": work.calibration}
    try:
        answer = asyncio.run(client.first(SocketClient(socket), "maintenance", device=work.device, **asked))
    except NotRunning as error:
        return _failed(error.code, str(error), lang, EXIT_NOT_RUNNING)
    except GatewayError as error:
        return _failed(error.code, str(error), lang, EXIT_NO_SENSE)
    code = str(answer["code"]) if isinstance(answer, dict) else "bad_reply"
    if code != "ok":
        return _failed(code, work.device, lang, EXIT_NO_SENSE)
    print(f"{work.device}: {words.title('maintenance_on' if length_ms else 'maintenance_off', lang)}")
    return 0


def _failed(code: str, detail: str, lang: str, status: int) -> int:
    print(f"{words.title(code, lang)}: {detail}\n{words.next_step(code, lang)}", file=sys.stderr)
    return status
