"""Declared parsing of one frame: taken apart into texts, or cut into binary parts. Both directions.

Nothing is repaired: a frame that is not exactly as declared is a BadReply. A part that is empty stays empty: it means
that the device has no value, and the profile's field says what that is. A part that is not as declared (another unit
letter, a key without a value) is left out, and with it the field that it is of; the other parts of the frame stay.
"""

import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gateway.errors import BadReply
from gateway.protocols import degrees, pattern

Parts: TypeAlias = Mapping[str, str | int | float]
_Found: TypeAlias = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Parse:
    """How a frame names its parts.

    kind "split": the content (`content_from`..`content_until`) cut at `separator`; part names are "0", "1", ...
    kind "sentence": NMEA 0183: as split; the first part ends in `sentence`, whoever the talker is.
    kind "pairs": cut at `separator`, then at `pair` into name and value; what has no `pair` is named by its place.
    kind "regex": the named groups of `pattern`, which has to match the whole content.
    kind "binary": `names` with struct codes in `layout` ("16s"-like codes allowed) from `content_from`.
    `require`: parts that must hold exactly this text, else the frame is a BadReply (a unit letter, a status word).
    `valid`: parts that hold this text while the device has values; else all other parts are empty.

    Of the texts: `suffix` is what a part must end in, and is cut off (a unit); one that ends in `void` is empty;
    `decimal` is its decimal point; `hex` names those that are hex digits; `degrees` makes a part of two: ddmm.mmmm and
    the hemisphere's letter.
    """

    kind: str
    content_from: int = 0
    content_until: int = 0  # counted from the end when negative; 0 = to the end
    separator: bytes = b","
    names: tuple[str, ...] = ()
    layout: str = ""  # struct format, with its byte order first: ">HHH"
    require: tuple[tuple[str, str], ...] = ()
    valid: tuple[tuple[str, str], ...] = ()
    sentence: str = ""
    pair: bytes = b"="
    pattern: str = ""
    sample: str = ""  # of a regex: a content that it matches; the simulators put their values into it
    suffix: tuple[tuple[str, str], ...] = ()
    void: str = ""
    decimal: str = "."
    hex: tuple[str, ...] = ()
    degrees: tuple[tuple[str, str, str], ...] = ()  # (latitude or longitude, part of the number, part of the letter)


def parts(parse: Parse, frame: bytes) -> Parts:
    """Parts by name: text (may be empty) or, of binary frames and hex digits, numbers; raises BadReply."""
    content = frame[parse.content_from : parse.content_until or len(frame)]
    found = _TAKEN_APART[parse.kind](parse, content)
    for name, text in parse.require:
        if str(found.get(name)) != text:
            raise BadReply(f"part {name} is {found.get(name)!r}, not {text!r}")
    if any(str(found.get(name)) != text for name, text in parse.valid):
        return dict.fromkeys([*found, *(name for name, _, _ in parse.degrees)], "")
    return found if parse.kind == "binary" else _numbers(parse, found)


def concerns(parse: Parse, frame: bytes) -> bool:
    """Whether it is of the kind that is declared, not another sentence of the same device."""
    if not parse.sentence:
        return True
    head, _, _ = frame[parse.content_from :].partition(parse.separator)
    return head.endswith(parse.sentence.encode("ascii"))


def frame_content(parse: Parse, values: Parts) -> bytes:
    """The simulators' side: the content that `parts` would take apart again.

    A part that `values` has not is what `require` and `valid` say, else empty (text) or 0 (binary).
    """
    told: _Found = {**dict(parse.require), **dict(parse.valid), **values}
    if parse.kind == "binary":
        return struct.pack(parse.layout, *_binary_values(parse, told))
    for name, number, letter in parse.degrees:
        told[number], told[letter] = degrees.written(name, str(told.pop(name, "")))
    return _PUT_TOGETHER[parse.kind](parse, {name: _written(parse, name, value) for name, value in told.items()})


def check(parse: Parse) -> None:
    """Raises ValueError, in words, for a parse that cannot work."""
    if parse.kind not in _TAKEN_APART:
        raise ValueError(f"no such kind: {parse.kind}")
    if parse.kind in ("split", "sentence", "pairs") and not parse.separator:
        raise ValueError(f"a {parse.kind} needs a separator")
    if parse.kind == "pairs" and not parse.pair:
        raise ValueError("pairs need what stands between name and value")
    if parse.kind == "sentence" and not re.fullmatch(r"[A-Z]{3}", parse.sentence):
        raise ValueError(f"{parse.sentence!r}: the three letters of a sentence")
    if parse.kind == "binary" and len(_blank(parse)) != len(parse.names):
        raise ValueError(f"layout {parse.layout} has {len(_blank(parse))} parts, {len(parse.names)} names")
    if parse.kind == "regex":
        groups = pattern.compiled(parse.pattern).fullmatch(parse.sample)
        if groups is None:
            raise ValueError("the pattern does not match the sample")


# --- into parts -------------------------------------------------------------------------------------------------------


def _text_of(content: bytes) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise BadReply(f"not a text: {content.hex(' ')}") from None


def _split(parse: Parse, content: bytes) -> _Found:
    pieces = _text_of(content).split(parse.separator.decode("ascii"))
    return {str(at): part for at, part in enumerate(pieces)}


def _sentence(parse: Parse, content: bytes) -> _Found:
    found = _split(parse, content)
    if not str(found["0"]).endswith(parse.sentence):
        raise BadReply(f"sentence {found['0']!r}, not {parse.sentence}")
    return found


def _pairs(parse: Parse, content: bytes) -> _Found:
    """What has two `pair`s is two torn ones; a name that comes twice says nothing."""
    found: _Found = {}
    between = parse.pair.decode("ascii")
    for at, piece in enumerate(_text_of(content).split(parse.separator.decode("ascii"))):
        name, *values = piece.split(between)
        if not values:
            found[str(at)] = piece
        elif len(values) == 1:
            if name in found:
                raise BadReply(f"{name} comes twice")
            found[name] = values[0]
    return found


def _regex(parse: Parse, content: bytes) -> _Found:
    if len(content) > pattern.FRAME_MAX_BYTES:
        raise BadReply(f"{len(content)} bytes are too many for a pattern")
    match = pattern.compiled(parse.pattern).fullmatch(_text_of(content))
    if match is None:
        raise BadReply(f"not as declared: {content!r}")
    return dict(match.groupdict())


def _cut(parse: Parse, content: bytes) -> _Found:
    try:
        values = struct.unpack(parse.layout, content)
        return {
            name: _text(value) if isinstance(value, bytes) else value
            for name, value in zip(parse.names, values, strict=True)
        }
    except (struct.error, ValueError):
        raise BadReply(f"{len(content)} bytes are not {parse.layout}: {content.hex(' ')}") from None


_TAKEN_APART: dict[str, Callable[[Parse, bytes], _Found]] = {
    "split": _split,
    "sentence": _sentence,
    "pairs": _pairs,
    "regex": _regex,
    "binary": _cut,
}


def _numbers(parse: Parse, found: _Found) -> _Found:
    """The texts as the fields take them; what is not as declared is left out."""
    suffixes = dict(parse.suffix)
    taken: _Found = {}
    for name, value in found.items():
        text = _without_unit(str(value), suffixes.get(name, ""), parse.void)
        if text is None or (name in parse.hex and text and not re.fullmatch(r"[0-9A-Fa-f]{1,16}", text)):
            continue
        text = text if parse.decimal == "." else text.replace(parse.decimal, ".")
        taken[name] = int(text, 16) if name in parse.hex and text else text
    for name, number, letter in parse.degrees:
        told = degrees.read(name, str(found.get(number, "?")), str(found.get(letter, "?")))
        if told is not None:
            taken[name] = told
    return taken


def _without_unit(text: str, suffix: str, void: str) -> str | None:
    if void and text.endswith(void):
        return ""
    return text.removesuffix(suffix) if text.endswith(suffix) else None


# --- and back ---------------------------------------------------------------------------------------------------------


def _written(parse: Parse, name: str, value: str | float) -> str:
    text = str(value)
    if name in parse.hex and text:
        return f"{round(float(text)):X}"
    if not text and parse.void:
        return parse.void if name in dict(parse.suffix) else text
    return (text if parse.decimal == "." else text.replace(".", parse.decimal)) + dict(parse.suffix).get(name, "")


def _joined(parse: Parse, told: Mapping[str, str]) -> bytes:
    count = max((int(name) for name in told), default=-1) + 1
    return parse.separator.join(told.get(str(at), "").encode("ascii") for at in range(count))


def _sentence_of(parse: Parse, told: Mapping[str, str]) -> bytes:
    return _joined(parse, {"0": f"GP{parse.sentence}", **told})


def _paired(parse: Parse, told: Mapping[str, str]) -> bytes:
    placed = [told[name] for name in sorted(filter(str.isdecimal, told), key=int)]
    named = [name + parse.pair.decode("ascii") + text for name, text in told.items() if not name.isdecimal()]
    return parse.separator.join(piece.encode("ascii") for piece in (*placed, *named))


def _put_into_sample(parse: Parse, told: Mapping[str, str]) -> bytes:
    """Numbers as wide as the sample's; a part without a value is empty, or zeros where the pattern wants digits."""
    pieces = pattern.compiled(parse.pattern).fullmatch(parse.sample)
    if pieces is None:
        raise ValueError("the pattern does not match the sample")
    for blank in ("", "0"):
        text, end = "", 0
        for name in pieces.groupdict():
            shown = pieces[name] or ""
            text += parse.sample[end : pieces.start(name)]
            zeros = re.sub("[0-9]", blank, shown) if blank and re.search("[0-9]", shown) else ""
            text += _as_wide(told.get(name, shown), shown) or zeros
            end = pieces.end(name)
        text += parse.sample[end:]
        if pattern.compiled(parse.pattern).fullmatch(text):
            break
    return text.encode("ascii")


def _as_wide(value: str, shown: str) -> str:
    sign = "-" if value.startswith("-") else ""
    number = value.removeprefix("-")
    return sign + number.rjust(len(shown) - len(sign), "0") if re.fullmatch("[0-9.]+", number) else value


_PUT_TOGETHER: dict[str, Callable[[Parse, Mapping[str, str]], bytes]] = {
    "split": _joined,
    "sentence": _sentence_of,
    "pairs": _paired,
    "regex": _put_into_sample,
}


def _text(value: bytes) -> str:
    return value.rstrip(b"\0 ").decode("ascii")


def _blank(parse: Parse) -> tuple[object, ...]:
    """A frame of zeros, taken apart: how many parts there are, and of which type."""
    try:
        return struct.unpack(parse.layout, bytes(struct.calcsize(parse.layout)))
    except struct.error as error:
        raise ValueError(f"layout {parse.layout}: {error}") from None


def _binary_values(parse: Parse, told: Parts) -> list[bytes | int | float]:
    """`require` holds texts; the layout says which of them are numbers."""
    return [_as(blank, told.get(name, 0)) for name, blank in zip(parse.names, _blank(parse), strict=True)]


def _as(blank: object, value: str | float) -> bytes | int | float:
    if isinstance(blank, bytes):
        return str(value or "").encode("ascii")
    return float(value) if isinstance(blank, float) else int(value)
