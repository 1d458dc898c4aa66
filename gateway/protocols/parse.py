"""Declared parsing of one frame: split into text parts, or cut into binary parts. Both directions.

Nothing is repaired: a frame that is not exactly as declared is a BadReply. A part that is empty stays empty: it means
that the device has no value, and the profile's field says what that is.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import BadReply


@dataclass(frozen=True, slots=True)
class Parse:
    """How a frame names its parts.

    kind "split": the content (`content_from`..`content_until`) cut at `separator`; part names are "0", "1", ...
    kind "binary": `names` with struct codes in `layout` ("16s"-like codes allowed) from `content_from`.
    `require`: parts that must hold exactly this text, else the frame is a BadReply (a unit letter, a status word).
    """

    kind: str
    content_from: int = 0
    content_until: int = 0  # counted from the end when negative; 0 = to the end
    separator: bytes = b","
    names: tuple[str, ...] = ()
    layout: str = ""  # struct format, with its byte order first: ">HHH"
    require: tuple[tuple[str, str], ...] = ()


def parts(parse: Parse, frame: bytes) -> Mapping[str, str | int | float]:
    """Parts by name: text for split (may be empty), numbers for binary; raises BadReply."""
    content = frame[parse.content_from : parse.content_until or len(frame)]
    found = _cut(parse, content) if parse.kind == "binary" else _split(parse, content)
    for name, text in parse.require:
        if str(found.get(name)) != text:
            raise BadReply(f"part {name} is {found.get(name)!r}, not {text!r}")
    return found


def frame_content(parse: Parse, values: Mapping[str, str | int | float]) -> bytes:
    """The simulators' side: the content that `parts` would take apart again.

    A part that `values` has not is what `require` says, else empty (split) or 0 (binary).
    """
    told: dict[str, str | int | float] = {**dict(parse.require), **values}
    if parse.kind == "binary":
        return struct.pack(parse.layout, *_binary_values(parse, told))
    count = max((int(name) for name in told), default=-1) + 1
    return parse.separator.join(str(told.get(str(at), "")).encode("ascii") for at in range(count))


def check(parse: Parse) -> None:
    """Raises ValueError, in words, for a parse that cannot work."""
    if parse.kind == "split":
        if not parse.separator:
            raise ValueError("a split needs a separator")
    elif parse.kind != "binary":
        raise ValueError(f"no such kind: {parse.kind}")
    elif len(_blank(parse)) != len(parse.names):
        raise ValueError(f"layout {parse.layout} has {len(_blank(parse))} parts, {len(parse.names)} names")


def _split(parse: Parse, content: bytes) -> dict[str, str | int | float]:
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        raise BadReply(f"not a text: {content.hex(' ')}") from None
    return {str(at): part for at, part in enumerate(text.split(parse.separator.decode("ascii")))}


def _cut(parse: Parse, content: bytes) -> dict[str, str | int | float]:
    try:
        values = struct.unpack(parse.layout, content)
        return {
            name: _text(value) if isinstance(value, bytes) else value
            for name, value in zip(parse.names, values, strict=True)
        }
    except (struct.error, ValueError):
        raise BadReply(f"{len(content)} bytes are not {parse.layout}: {content.hex(' ')}") from None


def _text(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii")


def _blank(parse: Parse) -> tuple[object, ...]:
    """A frame of zeros, taken apart: how many parts there are, and of which type."""
    try:
        return struct.unpack(parse.layout, bytes(struct.calcsize(parse.layout)))
    except struct.error as error:
        raise ValueError(f"layout {parse.layout}: {error}") from None


def _binary_values(parse: Parse, told: Mapping[str, str | int | float]) -> list[bytes | int | float]:
    """`require` holds texts; the layout says which of them are numbers."""
    return [_as(blank, told.get(name, 0)) for name, blank in zip(parse.names, _blank(parse), strict=True)]


def _as(blank: object, value: str | float) -> bytes | int | float:
    if isinstance(blank, bytes):
        return str(value or "").encode("ascii")
    return float(value) if isinstance(blank, float) else int(value)
