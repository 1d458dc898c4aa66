"""[serial] as written -> how the device is read, and what is wrong with that as a whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.errors import Problem, ProtocolFailed
from gateway.profile import plugins
from gateway.profile.profile import ProtocolSource, SerialSource
from gateway.profile.schema import FramingSchema, ParseSchema, ProfileSchema, SerialSchema
from gateway.profile.types import duration_ms, hex_bytes, serial_line
from gateway.profile.word import CODES
from gateway.protocols import declared, parse, pattern
from gateway.protocols.declared import Poll, SetupStep
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.protocols.template import fill, has_hole
from gateway.toml_file import Places
from gateway.toml_lines import Step

WAKE_BYTES_MAX = 64
SETUP_MS_MAX = 10_000
TYPES = {code: name for name, code in CODES.items()}

_OF_ALL = frozenset({"kind", "content_from", "content_until", "require", "valid"})
_OF_TEXTS = _OF_ALL | {"suffix", "void", "decimal", "hex"}
_KEYS = {
    "split": _OF_TEXTS | {"separator"},
    "sentence": _OF_TEXTS | {"sentence", "degrees"},
    "pairs": _OF_TEXTS | {"separator", "pair"},
    "regex": _OF_TEXTS | {"pattern", "sample"},
    "binary": _OF_ALL | {"names", "layout"},
}
_OF_DECLARED = ("framing", "parse", "timeout", "channels", "wake", "wake_ms", "setup")
_OF_POLLS = ("timeout", "address", "channels", "wake", "wake_ms")


def serial_source(written: SerialSchema) -> SerialSource | ProtocolSource:
    """To be used only when there are no problems."""
    line, address = serial_line(written.line), written.address or ""
    if written.protocol:
        return ProtocolSource(line, written.protocol, plugins.places().get(written.protocol, ""), address)
    return SerialSource(
        line=line,
        framing=_framing(written.framing, address),
        parse=_parse(written.parse),
        period_ms=duration_ms(written.period) if written.period else 0,
        poll=_poll(written, written.poll) if written.poll else None,
        setup=_setup(written),
    )


def serial_problems(profile: ProfileSchema, written: SerialSchema, places: Places) -> Iterator[Problem]:
    """What no single value of [serial] shows."""
    if written.protocol:
        yield from _protocol_problems(profile, written, written.protocol, places)
        return
    yield from _parse_problems(written, places)
    yield from _framing_problems(written.framing, places)
    yield from _poll_problems(written, places)
    yield from _setup_problems(written, places)
    yield from _part_problems(profile, written, places)


def part_types(serial: SerialSchema | None) -> Mapping[str, str]:
    """What each part of a binary frame is; the parts of a text frame have no type."""
    if serial is None or serial.protocol or serial.parse.kind != "binary":
        return {}
    types = {name: TYPES[code] for name, code in zip(serial.parse.names, _codes(serial.parse), strict=False)}
    return {name: kind for channel in serial.channels or ("",) for name, kind in declared.named(channel, types).items()}


def _poll(written: SerialSchema, send: str) -> Poll:
    return Poll(
        send=send,
        timeout_ms=duration_ms(written.timeout),
        start=written.framing.start if has_hole(written.framing.start, "address") else "",
        address=written.address or "",
        channels=tuple(written.channels.items()),
        wake=hex_bytes(written.wake),
        wake_ms=written.wake_ms,
    )


def _setup(written: SerialSchema) -> tuple[SetupStep, ...]:
    return tuple(
        SetupStep(
            step.send,
            step.reply,
            step.reply_bytes or 0,
            duration_ms(step.timeout),
            duration_ms(step.pause) if step.pause else 0,
        )
        for step in written.setup
    )


def _framing(written: FramingSchema, address: str) -> Framing:
    """With the address that the device has from its maker; one that does not fit is told elsewhere."""
    values: dict[str, Any] = written.model_dump()
    mark = hex_bytes(written.checksum_mark)
    try:
        start = fill(written.start, {"address": address})
    except ValueError:
        start = b""
    return Framing(**{**values, "start": start, "end": hex_bytes(written.end), "checksum_mark": mark})


def _parse(written: ParseSchema) -> Parse:
    values: dict[str, Any] = written.model_dump(exclude={"require", "valid", "suffix", "degrees", "separator", "pair"})
    return Parse(
        **values,
        separator=hex_bytes(written.separator),
        pair=hex_bytes(written.pair),
        require=tuple(written.require.items()),
        valid=tuple(written.valid.items()),
        suffix=tuple(written.suffix.items()),
        degrees=tuple((axis, number, letter) for axis, (number, letter) in written.degrees.items()),
    )


def _codes(written: ParseSchema) -> list[str]:
    """One struct code for each number of a binary frame."""
    found = re.findall(r"([0-9]*)([a-zA-Z])", written.layout)
    return [code for count, code in found if code != "x" for _ in range(int(count or 1))]


# --- what is wrong with it --------------------------------------------------------------------------------------------


def _protocol_problems(profile: ProfileSchema, written: SerialSchema, name: str, places: Places) -> Iterator[Problem]:
    """Whether there is such a module, and it knows this address and these parts."""
    for key in sorted(written.model_fields_set.intersection(_OF_DECLARED)):
        yield places.problem("keys_clash", f"{key} means nothing with a protocol", "serial", key)
    try:
        protocol = plugins.find(name)
    except LookupError as error:
        yield places.problem("unknown_protocol", str(error.args[0]), "serial", "protocol")
        return
    except ProtocolFailed as error:
        yield places.problem("protocol_failed", str(error), "serial", "protocol")
        return
    address, taken = written.address or "", dict[str, str]()
    for detail in plugins.complaints(protocol, address, ()):
        yield places.problem("bad_value", detail, "serial", "address" if written.address else "protocol")
        return
    for field, entry in profile.fields.items():
        if entry.part is None:
            continue
        if entry.part in taken:
            detail = f"{taken[entry.part]} is read from it already"
            yield places.problem("address_overlap", detail, "fields", field, "part")
        taken.setdefault(entry.part, field)
        for detail in plugins.complaints(protocol, address, (entry.part,)):
            yield places.problem("bad_layout", detail, "fields", field, "part")


def _parse_problems(serial: SerialSchema, places: Places) -> Iterator[Problem]:
    written = serial.parse
    for key in sorted(written.model_fields_set - _KEYS[written.kind]):
        yield places.problem("bad_layout", f"{key} means nothing with kind {written.kind}", "serial", "parse", key)
    if len(set(written.names)) != len(written.names):
        yield places.problem("doubled_name", "a part is named twice", "serial", "parse", "names")
    if written.kind == "regex" and serial.framing.max_bytes > pattern.FRAME_MAX_BYTES:
        detail = f"a pattern is for frames of at most {pattern.FRAME_MAX_BYTES} bytes"
        yield places.problem("out_of_bounds", detail, "serial", "framing", "max_bytes")
    try:
        parse.check(_parse(written))
    except ValueError as error:
        yield places.problem("bad_layout", str(error), "serial", "parse", *_PLACES.get(written.kind, ()))


_PLACES: dict[str, tuple[Step, ...]] = {
    "split": ("separator",),
    "binary": ("layout",),
    "regex": ("pattern",),
    "sentence": ("sentence",),
}


def _framing_problems(written: FramingSchema, places: Places) -> Iterator[Problem]:
    if written.kind == "fixed" and not 1 <= written.length <= written.max_bytes:
        detail = "a fixed frame needs its length, at most max_bytes"
        yield places.problem("bad_layout", detail, "serial", "framing", "length")
    if written.kind == "line" and not hex_bytes(written.end):
        yield places.problem("bad_layout", "a line needs its end", "serial", "framing", "end")


def _poll_problems(written: SerialSchema, places: Places) -> Iterator[Problem]:
    if written.poll is None:
        yield from _stream_problems(written, places)
        return
    holes = list(_hole_problems(written, written.poll, places))
    yield from holes or _filling_problems(written, places)
    if len(hex_bytes(written.wake)) > WAKE_BYTES_MAX:
        yield places.problem("out_of_bounds", f"more than {WAKE_BYTES_MAX} bytes", "serial", "wake")
    if written.wake_ms and not written.wake:
        yield places.problem("keys_clash", "wake_ms is the time after wake, which is not there", "serial", "wake_ms")


def _stream_problems(written: SerialSchema, places: Places) -> Iterator[Problem]:
    for key in sorted(written.model_fields_set.intersection(_OF_POLLS)):
        yield places.problem("keys_clash", f"{key} is of a device that is asked: poll", "serial", key)
    if "{" in written.framing.start:
        yield places.problem("bad_template", "only a reply has an address in it", "serial", "framing", "start")


def _setup_problems(written: SerialSchema, places: Places) -> Iterator[Problem]:
    """An answer is waited for where questions are asked; waits have a bound together."""
    steps = _setup(written)
    for n, step in enumerate(steps):
        if step.reply and written.poll is None:
            detail = "of a device that sends by itself no answer is waited for: its frames show that it was understood"
            yield places.problem("keys_clash", detail, "serial", "setup", n, "reply")
        if step.reply_bytes and not step.reply:
            detail = "reply_bytes is the length of an answer: reply says how it begins"
            yield places.problem("keys_clash", detail, "serial", "setup", n, "reply_bytes")
        try:
            declared.told(step, written.address or "")
        except ValueError as error:
            yield places.problem("bad_template", str(error), "serial", "setup", n)
    if sum(step.timeout_ms * bool(step.reply) + step.pause_ms for step in steps) > SETUP_MS_MAX:
        detail = f"its waits are more than {SETUP_MS_MAX // 1000} s together"
        yield places.problem("out_of_bounds", detail, "serial", "setup")


def _hole_problems(written: SerialSchema, poll: str, places: Places) -> Iterator[Problem]:
    """A hole that nothing is told for, and what is told for no hole."""
    for name, key, told in (("address", "address", written.address), ("channel", "channels", written.channels)):
        if has_hole(poll, name) and not told:
            yield places.problem("missing_key", f"{key} is needed: {{{name}}} stands in poll", "serial", key)
        elif told and not has_hole(poll, name):
            yield places.problem("keys_clash", f"no {{{name}}} stands in poll", "serial", key)
    if has_hole(written.framing.start, "address") and not has_hole(poll, "address") and not written.address:
        yield places.problem("bad_template", "the address has to stand in poll, too", "serial", "framing", "start")
    if has_hole(written.framing.start, "channel"):
        yield places.problem("bad_template", "a channel is told by parse.require", "serial", "framing", "start")


def _filling_problems(written: SerialSchema, places: Places) -> Iterator[Problem]:
    poll = _poll(written, written.poll or "")
    try:
        for _, channel in poll.channels or (("", ""),):
            declared.request(poll, "", channel)
        declared.reply_framing(poll, _framing(written.framing, ""))
    except ValueError as error:
        yield places.problem("bad_template", str(error), "serial", "address")


def _part_problems(profile: ProfileSchema, serial: SerialSchema, places: Places) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    known = _known_parts(serial)
    for name, field in profile.fields.items():
        part = field.part or ""
        if field.part is not None and known is not None and not _is_part(part, serial, known):
            yield places.problem("bad_layout", f"the frame has no part {part!r}", "fields", name, "part")
        elif part in taken:
            yield places.problem("address_overlap", f"{taken[part]} is read from it already", "fields", name, "part")
        taken.setdefault(part, name)


def _known_parts(serial: SerialSchema) -> Sequence[str] | None:
    """Those that have a name: of binary frames, patterns and angles all that there are; None where nobody can tell."""
    written = serial.parse
    if written.kind == "regex":
        try:
            return tuple(pattern.compiled(written.pattern).groupindex)
        except ValueError:
            return None
    return (*written.names, *written.degrees)


def _is_part(part: str, serial: SerialSchema, known: Sequence[str]) -> bool:
    channel, dot, own = part.rpartition(".")
    if bool(dot) != bool(serial.channels) or (dot and channel not in serial.channels):
        return False
    kind = serial.parse.kind
    return own in known or (kind in ("split", "sentence") and own.isdecimal()) or (kind == "pairs" and bool(own))
