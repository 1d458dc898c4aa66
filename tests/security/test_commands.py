"""Commands of the centre: done once, in time, as they were asked for, where the site allows it, or not at all."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.app import commands, journal
from gateway.app.journal import BYTES_MAX, NAME, Begun, Journal
from gateway.config.compile import compile_file
from gateway.errors import Malformed
from gateway.model import UtcMs
from gateway.north.commands import AHEAD_MAX_MS, INTERRUPTED
from gateway.testing.worker import InlineWorker
from gateway.wire import command as wire
from gateway.wire.command import Command, Outcome
from tests.support.asks import MemoryAsks, played
from tests.support.fields import FieldsBench
from tests.support.written import SITE, write

NOW = UtcMs(1_795_484_690_000)
MANY = settings(max_examples=150, deadline=None)
GOOD: dict[str, object] = {"device": "level-1", "field": "zero_offset", "value": 0.25}
DOCUMENT: dict[str, object] = {"v": 1, "id": "c-1", "expires": NOW + 60_000, "name": "write", "arguments": GOOD}


def message(changes: dict[str, object] | None = None) -> bytes:
    """As it comes from the broker."""
    return orjson.dumps(DOCUMENT | {"arguments": GOOD | (changes or {})})


async def carried_out(folder: Path, data: bytes, asks: MemoryAsks, allowed: tuple[str, ...] = ("write",)) -> Outcome:
    """What a gateway makes of one message in one life: judged, carried out, answered."""
    bench = FieldsBench(folder, asks=asks)
    async with bench.running() as fields:
        asked = wire.decode(data)
        refusal = commands.gate(allowed, bench.kept).refusal(asked, NOW)
        if refusal is not None:
            return refusal
        return await played(bench.clock, _step(commands.steps(fields)["write"], asked))


async def _step(step: Callable[[Command], Any], asked: Command) -> Outcome:
    outcome: Outcome = await step(asked)
    return outcome


async def test_a_recorded_command_is_worth_nothing(tmp_path: Path) -> None:
    """Sent again, byte for byte, to this life and the next ones, also with another value under its id."""
    asks = MemoryAsks()
    assert (await carried_out(tmp_path, message(), asks)).code == "ok"
    others: list[dict[str, object]] = [{}, {"value": 0.5}, {"field": "mode", "value": 1}]
    for changes in others:
        assert (await carried_out(tmp_path, message(changes), asks)).code == "repeated"
    assert len(asks.writes) == 1


async def test_a_command_that_never_ends_is_refused(tmp_path: Path) -> None:
    """Valid for longer than its id is remembered, it could be sent again a thousand commands later."""
    asks = MemoryAsks()
    for expires in (NOW + AHEAD_MAX_MS + 1, 7_999_999_999_999):
        outcome = await carried_out(tmp_path, orjson.dumps(DOCUMENT | {"expires": expires}), asks)
        assert outcome.code == "expires_too_late"
    assert asks.asked == []


def test_without_a_trusted_clock_nothing_is_done(tmp_path: Path) -> None:
    """A box that does not know the time cannot know what has expired."""
    assert tmp_path.exists()
    asked = wire.decode(message())
    outcome = commands.gate(("write",), journal.Kept((), (), 0)).refusal(asked, None)
    assert outcome == Outcome("c-1", ok=False, code="clock_not_trusted")


async def test_a_site_that_says_nothing_allows_nothing(tmp_path: Path) -> None:
    """`commands` is empty unless somebody has written it, and then only names of ours stand there."""
    site = compile_file(write(tmp_path / "gateway.toml", SITE), []).site
    assert site.commands == ()
    asks = MemoryAsks()
    assert (await carried_out(tmp_path, message(), asks, site.commands)).code == "not_allowed"
    assert asks.asked == []


@pytest.mark.parametrize(
    ("value", "code", "written"),
    [
        (-0.0, "ok", 0),
        (5, "ok", 500),
        (True, "bad_value", None),
        ("0.25", "bad_value", None),
        (0.125, "bad_value", None),
        (5e-324, "bad_value", None),
        (1e308, "out_of_limits", None),
        (2**53, "out_of_limits", None),
        (2**53 + 1, "bad_arguments", None),
        (None, "bad_arguments", None),
        ([0.25], "bad_arguments", None),
        ({"v": 0.25}, "bad_arguments", None),
        ("0\n", "bad_arguments", None),
        ("\u202e52.0", "bad_value", None),
        ("😀" * 63, "bad_value", None),
        ("😀" * 64, "bad_arguments", None),
    ],
)
async def test_a_value_is_written_as_it_was_asked_for_or_not(
    tmp_path: Path, value: object, code: str, written: int | None
) -> None:
    """Nothing is rounded, cut, or read as something else."""
    asks = MemoryAsks()
    assert (await carried_out(tmp_path, message({"value": value}), asks)).code == code
    assert [request.values for request in asks.writes] == ([] if written is None else [(written,)])  # type: ignore[union-attr]


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"nan", b"0x10", b"+1", b"01"])
def test_what_is_no_number_of_json_is_no_command(number: bytes) -> None:
    """Whatever other readers make of it."""
    with pytest.raises(Malformed):
        wire.write_arguments(wire.decode(message().replace(b"0.25", number)).arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {str(n): n for n in range(65)}},
        {"arguments": GOOD | {"x": "y" * wire.MAX_BYTES}},
        {"arguments": [GOOD]},
        {"id": "../../etc/passwd"},
        {"id": "c-1\n"},
        {"id": "c" * 65},
        {"id": ""},
        {"id": "é"},
        {"name": "write\0"},
        {"name": "__init__"},
        {"expires": True},
        {"expires": -1},
        {"expires": 2**63},
        {"expires": 1.0},
    ],
)
def test_a_command_out_of_bounds_is_not_read(changes: dict[str, object]) -> None:
    """Size, depth, names and times are bounded before anything is believed."""
    with pytest.raises(Malformed):
        wire.decode(orjson.dumps(DOCUMENT | changes))


# --- the journal on disk ----------------------------------------------------------------------------------------------


async def opened(folder: Path) -> tuple[Journal, journal.Kept]:
    """As the next life finds it."""
    made = Journal(folder / NAME, InlineWorker())
    return made, await made.open()


ENTRY = journal._begun(Begun("c-1", "level-1", "mode", 1.0, "ioc:c-1"))


@MANY
@given(st.lists(st.one_of(st.binary(max_size=60), st.just(ENTRY), st.just(ENTRY[:-3])), max_size=8).map(b"".join))
def test_any_bytes_are_a_journal(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """It opens; only what was written whole is believed, and it can be written to."""
    folder = tmp_path_factory.mktemp("any")
    (folder / NAME).write_bytes(data)

    async def lived() -> None:
        made, kept = await opened(folder)
        assert {begun.id for begun in kept.interrupted} <= {"c-1"}
        await made.begin(Begun("c-2", "level-1", "mode", 1.0, "ioc:c-2"))
        _, again = await opened(folder)
        assert [begun.id for begun in again.interrupted] == ["c-2"]
        assert again.damaged == 0

    asyncio.run(lived())


@pytest.mark.parametrize("entry", [b'["begun","c-1","d",["f",{},"b"]]', b'["ended"]', b"{}", b"7", b"[" * 5000])
async def test_a_good_checksum_makes_no_entry(tmp_path: Path, entry: bytes) -> None:
    """Anybody can compute one: what stands there is checked all the same."""
    (tmp_path / NAME).write_bytes(b"\n%08x %b" % (crc32(entry), entry))
    _, kept = await opened(tmp_path)
    assert kept == journal.Kept((), (), 1)


@pytest.mark.parametrize("what", ["link", "dangling", "pipe", "folder"])
async def test_what_somebody_else_put_in_its_place(tmp_path: Path, what: str) -> None:
    """It is told as damage and replaced, or refuses writes; the gateway starts, and what is behind a link stays."""
    (other := tmp_path / "other").write_bytes(ENTRY)
    path = tmp_path / NAME
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("other" if what == "link" else "nowhere")
    made, kept = await opened(tmp_path)
    assert kept.interrupted == ()
    assert kept.damaged or what == "dangling"
    try:
        await made.begin(Begun("c-2", "level-1", "mode", 1.0, "ioc:c-2"))
    except journal.NotNoted:
        assert what in {"folder", "dangling"}
    else:
        assert path.is_file()
        assert not path.is_symlink()
    assert other.read_bytes() == ENTRY
    assert not (tmp_path / "nowhere").exists()


async def test_a_giant_is_not_read_whole(tmp_path: Path) -> None:
    """A sparse gigabyte costs 8 MiB of it, and is small after the start."""
    with (tmp_path / NAME).open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(ENTRY)
    _, kept = await opened(tmp_path)
    assert [begun.id for begun in kept.interrupted] == ["c-1"]
    assert (tmp_path / NAME).stat().st_size < BYTES_MAX


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
async def test_a_disk_that_takes_nothing_writes_nothing(tmp_path: Path, error: int) -> None:
    """What could not be told to the next life is not begun in this one; the same command may come again."""
    asks = MemoryAsks()
    bench = FieldsBench(tmp_path, asks=asks)
    async with bench.running() as fields:
        bench.before.append(OSError(error, os.strerror(error)))
        asked = wire.decode(message())
        assert (await played(bench.clock, _step(commands.steps(fields)["write"], asked))).code == "not_noted"
    assert asks.asked == []
    assert (await carried_out(tmp_path, message(), asks)).code == "ok"


async def test_an_id_of_a_local_write_is_not_the_centres(tmp_path: Path) -> None:
    """A command that calls itself as a technician's write does is remembered like any other."""
    asks = MemoryAsks()
    data = orjson.dumps(DOCUMENT | {"id": "local-b00t-1"})
    assert (await carried_out(tmp_path, data, asks)).code == "ok"
    assert (await carried_out(tmp_path, data, asks)).code == "repeated"


async def test_what_was_torn_in_the_middle_is_not_done_again(tmp_path: Path) -> None:
    """Power went between the write and its end: nobody knows what became of it, and nobody tries."""
    made, _ = await opened(tmp_path)
    await made.begin(Begun("c-1", "level-1", "zero_offset", 0.25, "ioc:c-1"))
    with (tmp_path / NAME).open("ab") as file:
        file.write(b'\n12345678 ["ended","c-1",tr')
    asks = MemoryAsks()
    assert (await carried_out(tmp_path, message(), asks)).code == INTERRUPTED
    assert asks.asked == []
