"""gateway push: hand in a reading of one device, and wait until it is on disk."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from gateway.app.push import STORED
from gateway.cli.read import asked, not_understood, said
from gateway.control.client import SocketClient
from gateway.errors import GatewayError
from gateway.profile.types import duration_ms
from gateway.text import words

SOCKET_DEFAULT: Final = Path("/run/gateway/push.sock")
FAILED: Final = 1
WRONG: Final = 2
TEXT: Final = {
    "en": {"stored": "{} is on disk", "pair": "{!r} is no FIELD=VALUE"},
    "vi": {"stored": "{} đã nằm trên đĩa", "pair": "{!r} không phải TRƯỜNG=GIÁ_TRỊ"},
}


def hand_in(socket: Path, device: str, pairs: Sequence[str], age: str, lang: str) -> int:
    """Exit 0 when it is on disk, 1 when nothing was taken or the disk fails, 2 for a wrong pair, 4 without gateway."""
    text = TEXT[lang if lang in words.LANGUAGES else "en"]
    try:
        age_ms = duration_ms(age)
    except ValueError as error:
        print(error, file=sys.stderr)
        return WRONG
    values: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            print(text["pair"].format(pair), file=sys.stderr)
            return WRONG
        values[name] = _value(value)
    try:
        answer = asyncio.run(asked(SocketClient(socket), "push", device=device, values=values, age_ms=age_ms))
    except GatewayError as error:
        return not_understood(socket, error, lang)
    if answer["code"] == STORED:
        print(text["stored"].format(device))
        return 0
    print(said(str(answer["code"]), str(answer.get("detail", "")), lang), file=sys.stderr)
    return FAILED


def _value(text: str) -> object:
    """A number, true, false or null as JSON writes them; anything else is a text."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return text if isinstance(value, dict | list) else value
