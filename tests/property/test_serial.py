"""Serial sensors, declared: whatever comes, nothing hangs or breaks, and no value comes out whose checksum is wrong."""

import asyncio
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceError
from gateway.model import Value
from gateway.profile.load import load
from gateway.profile.parts import decode_parts, encode_parts
from gateway.profile.profile import Profile, SerialSource
from gateway.protocols import declared
from gateway.protocols.conversation import Receive, Send, Talk
from gateway.protocols.framing import FrameReader, encode, wrap
from gateway.protocols.parse import concerns, frame_content, parts
from gateway.protocols.pattern import FRAME_MAX_BYTES, compiled
from gateway.protocols.template import FILLED_MAX_BYTES, fill
from gateway.sources import shipped
from gateway.south.links.conversation_link import ConversationLink
from gateway.south.links.owed import Owed
from gateway.south.links.trace import Trace
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream
from tests.support.south import NS_PER_MS

EXAMPLES = settings(max_examples=150, deadline=None)
SERIAL = [profile for profile in load([shipped()]).profiles.values() if isinstance(profile.source, SerialSource)]
MARKS = [_.framing.start for profile in SERIAL if isinstance(_ := profile.source, SerialSource)]
NOISE = st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([*MARKS, b"\r\n", b",", b"*00\r\n"])), max_size=12
).map(b"".join)
PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=20)
TIMEOUT_MS, MAX_BYTES = 100, 64


def _source(profile: Profile) -> SerialSource:
    assert isinstance(profile.source, SerialSource)
    return profile.source


def _pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(data):
        found.append(data[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(found[-1]), turn + 1
    return found


def _channel(source: SerialSource) -> tuple[str, str]:
    return source.poll.channels[0] if source.poll and source.poll.channels else ("", "")


def _good(profile: Profile, value: float) -> bytes:
    """A frame of the device, each number in it the same."""
    source = _source(profile)
    name, channel = _channel(source)
    told = declared.reply_parse(source.poll, source.parse, "", channel) if source.poll else source.parse
    fields = [field for field in profile.fields if not name or field.part.startswith(f"{name}.")]
    encoded = encode_parts(fields, [bool(value) if field.letter == "b" else value for field in fields])
    content = frame_content(told, {part.rpartition(".")[2]: one for part, one in encoded.items()})
    return wrap(source.framing, content)


@EXAMPLES
@given(st.sampled_from(SERIAL), NOISE, PIECES, st.booleans())
def test_noise_makes_no_value_and_breaks_nothing(
    profile: Profile, noise: bytes, sizes: list[int], in_step: bool
) -> None:
    """Of every shipped sensor: bounded, checked, and each frame is parts, another sentence, or a BadReply."""
    framing = _source(profile).framing
    reader = FrameReader(framing, in_step=in_step)
    tail = -framing.checksum_at if framing.checksum != "none" else len(framing.end)
    for piece in _pieces(noise, sizes):
        for frame in reader.feed(piece):
            assert len(frame) <= framing.max_bytes
            assert encode(framing, frame[:-tail] if tail else frame).upper() == frame.upper()
            concerns(_source(profile).parse, frame)
            try:
                found = parts(_source(profile).parse, frame)
            except BadReply:
                continue
            decode_parts(profile.fields, found)
        assert reader.held_bytes <= framing.max_bytes


@EXAMPLES
@given(st.sampled_from(SERIAL), st.sampled_from([0, 1, 2]), st.data())
def test_one_flipped_bit_changes_no_value_where_there_is_a_checksum(
    profile: Profile, value: float, data: st.DataObject
) -> None:
    """Every checksum that is declared is looked at: what still is a frame says the same (a hex digit's case)."""
    framing = _source(profile).framing
    good = _good(profile, value)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad = bytearray(good)
    bad[bit // 8] ^= 1 << bit % 8
    if framing.checksum == "none":
        return
    for frame in FrameReader(framing, in_step=True).feed(bytes(bad)):
        with suppress(BadReply):  # the star of a sentence is not in its checksum
            assert parts(_source(profile).parse, frame) == parts(_source(profile).parse, good)


@EXAMPLES
@given(st.sampled_from(["", "xl"]), st.text("0123456789", max_size=6))
def test_a_distance_has_the_digits_of_its_model_or_no_value(variant: str, digits: str) -> None:
    """MaxBotix: four are millimetres, three are centimetres, each for its own model; no other frame says anything."""
    library = load([shipped()])
    ref = "maxbotix/hrxl-wr@1"
    profile = library.variants[ref][variant] if variant else library.profiles[ref]
    width, metres = (3, 0.01) if variant else (4, 0.001)
    values: list[Value | None] = []
    for frame in FrameReader(_source(profile).framing).feed(b"R" + digits.encode("ascii") + b"\r"):
        with suppress(BadReply):
            values += decode_parts(profile.fields, parts(_source(profile).parse, frame)).values
    assert values == ([round(int(digits) * metres, 3)] if len(digits) == width else [])


def _asking(start: bytes, framing_of: Profile) -> Talk:
    framing = replace(_source(framing_of).framing, start=start) if start else _source(framing_of).framing
    yield Send(b"?!")
    frame = yield Receive(framing, TIMEOUT_MS)
    return {"frame": frame}


@EXAMPLES
@given(st.sampled_from(SERIAL), NOISE, NOISE, PIECES, st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_a_talk_ends_whatever_comes(
    profile: Profile, before: bytes, after: bytes, sizes: list[int], gaps: list[int]
) -> None:
    """In bounded time, with a frame that is in what came after the question, or with an error of ours."""
    clock, counters = FakeClock(), Counters()
    framing = _source(profile).framing
    line = _source(profile).line

    def script(_: bytes) -> Iterable[tuple[float, bytes]]:
        at_ms = 0
        for turn, piece in enumerate(_pieces(after, sizes)):
            at_ms += gaps[turn % len(gaps)]
            yield at_ms, piece

    stream = MemoryStream(clock, script)
    stream.arrive(clock.boot_ns() - NS_PER_MS, before)
    link = ConversationLink(stream, line, clock, Owed(), Trace(), counters, bus="bus-1")
    longest_ms = 2 * TIMEOUT_MS + 1000 * (framing.max_bytes + 16) * 11 / line.baud + 100

    async def talk() -> object:
        told, _ = await asyncio.gather(
            link.talk("a", _asking(b"", profile)), clock.advance(longest_ms), return_exceptions=True
        )
        return told

    told = asyncio.run(talk())
    if isinstance(told, BaseException):
        assert isinstance(told, DeviceError)
    else:
        frame = told.parts["frame"]  # type: ignore[attr-defined]
        assert frame in after
        assert not frame or (frame.startswith(framing.start) and len(frame) <= framing.max_bytes)


@EXAMPLES
@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_any_text_is_a_template_or_refused(template: str, address: str, channel: str) -> None:
    """By a ValueError and nothing else; what is filled is bounded."""
    with suppress(ValueError):
        assert len(fill(template, {"address": address, "channel": channel})) <= FILLED_MAX_BYTES


TOKENS = st.lists(
    st.sampled_from(
        ["a", "b", ".", r"\d", "[ab]", "[^,]", "*", "+", "?", "{1,9}", "(?P<x>", "(?P<y>", ")", ",", "|", "("]
    ),
    max_size=24,
).map("".join)


@EXAMPLES
@given(st.one_of(TOKENS, st.text(max_size=40)), st.text(alphabet="ab,1", max_size=FRAME_MAX_BYTES))
def test_any_pattern_is_taken_or_refused_and_never_slow(pattern: str, text: str) -> None:
    """The test's own timeout is the proof: with the engine's way back some of these would take years."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the engine, about characters in a class that may change
        with suppress(ValueError):
            compiled(pattern).fullmatch(text)
