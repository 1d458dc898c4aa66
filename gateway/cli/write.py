"""gateway write: one field of one device, with its old value and its limits shown before anything is sent."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.cli.read import FAILED, asked, not_understood, said, shown_value, with_unit
from gateway.cli.status import EXIT_NOT_RUNNING
from gateway.control.client import NoAccess, NotRunning, SocketClient
from gateway.errors import GatewayError
from gateway.model import Value
from gateway.text import words

WRONG_USE, INTERRUPTED = 2, 130
TRUE, FALSE = frozenset({"true", "on", "yes", "1"}), frozenset({"false", "off", "no", "0"})
TEXTS = {
    "en": {
        "now": "now",
        "new": "new",
        "limits": "limits",
        "sure": "Write it? [y/N] ",
        "yes": "y",
        "left": "Nothing was written.",
        "terminal": "This is no terminal: say --yes to write without being asked.",
        "read": "read back",
    },
    "vi": {
        "now": "hiện tại",
        "new": "giá trị mới",
        "limits": "giới hạn",
        "sure": "Ghi? [c/K] ",
        "yes": "c",
        "left": "Chưa ghi gì.",
        "terminal": "Đây không phải terminal: thêm --yes để ghi mà không hỏi lại.",
        "read": "đọc lại",
    },
}


def write(socket: Path, device: str, field: str, text: str, lang: str, *, sure: bool) -> int:
    """Exit 0 when the device holds the value, 1 when not, 2 when nobody was there to be asked, 3 without a gateway.

    130 on Ctrl-C: before the write nothing happened, and that is said; in it nobody knows.
    """
    try:
        return _write(SocketClient(socket), device, field, text, lang, sure=sure)
    except NoAccess as error:
        return not_understood(socket, error, lang)
    except NotRunning as error:  # without it nobody would tell the centre: a write that is in no record is not made
        print(f"{error}\n{said('unrecorded', '', lang)}", file=sys.stderr)
        return EXIT_NOT_RUNNING
    except GatewayError as error:
        return not_understood(socket, error, lang)


def parsed(text: str, letter: str) -> Value:
    """What was typed, as the field's type; a text where it is none, for the gateway to refuse."""
    if letter == "b":
        return True if text.lower() in TRUE else False if text.lower() in FALSE else text
    try:
        return float(text) if letter == "f" else text
    except ValueError:
        return text


def _write(client: SocketClient, device: str, field: str, text: str, lang: str, *, sure: bool) -> int:
    """The question stands outside of any event loop, which would keep Ctrl-C to itself."""
    before = asyncio.run(asked(client, "read", device=device, fields=[field]))
    if before["code"] != "ok":
        return _failed(before["code"], str(before["detail"]), lang)
    (found,) = before["fields"]
    value = parsed(text, str(found["letter"]))
    _preview(device, found, value, lang)
    if found["writable"] and not sure and (status := _asked_for(lang)) is not None:  # else it is refused anyway
        return status
    try:
        after = asyncio.run(asked(client, "write", device=device, field=field, value=value))
    except KeyboardInterrupt:  # the gateway goes on with it
        _failed("write_uncertain", "", lang)
        return INTERRUPTED
    held = (
        f"{_texts(lang)['read']}: {with_unit(after['after'], str(found['unit']))}" if after["after"] is not None else ""
    )
    if after["code"] != "ok":
        detail = ", ".join(part for part in (str(after["detail"]), held) if part)
        return _failed(after["code"], detail, lang)
    print(f"{words.title('ok', lang)}: {device} {field}, {held}")
    return 0


def _preview(device: str, found: Mapping[str, Any], value: Value, lang: str) -> None:
    texts, unit = _texts(lang), str(found["unit"])
    print(f"{device} {found['field']}")
    print(f"  {texts['now']}: {shown_value(found, lang)}")
    print(f"  {texts['new']}: {with_unit(value, unit)}")
    if found["limits"]:
        print(f"  {texts['limits']}: {found['limits']}")


def _asked_for(lang: str) -> int | None:
    """None when a person said yes."""
    texts = _texts(lang)
    if not sys.stdin.isatty():
        print(texts["terminal"], file=sys.stderr)
        return WRONG_USE
    try:
        if input(texts["sure"]).strip().lower() in {texts["yes"], "y"}:
            return None
        status = FAILED
    except (KeyboardInterrupt, EOFError):
        print()  # behind the question
        status = INTERRUPTED
    print(texts["left"])
    return status


def _failed(code: str, detail: str, lang: str) -> int:
    print(said(code, detail, lang), file=sys.stderr)
    return FAILED


def _texts(lang: str) -> Mapping[str, str]:
    return TEXTS.get(lang, TEXTS["en"])
