"""gateway.app.journal: what was begun is never begun again, whatever a power cut leaves of the file."""

import os
from pathlib import Path
from random import Random

import pytest

from gateway.app import journal
from gateway.app.journal import ENTRIES_MAX, KEPT_MAX, NAME, Begun, Journal, Kept, NotNoted
from gateway.testing.worker import InlineWorker
from gateway.wire.command import Outcome

NOTHING = Kept((), (), 0)


def begun(id_: str = "c-1") -> Begun:
    """One write."""
    return Begun(id_, "level-1", "zero_offset", 0.25, f"ioc:{id_}")


def ended(id_: str = "c-1") -> Outcome:
    """Its good end."""
    return Outcome(id_, ok=True, code="ok", value=0.25)


async def opened(folder: Path) -> tuple[Journal, Kept]:
    """As the next life finds it."""
    made = Journal(folder / NAME, InlineWorker())
    return made, await made.open()


async def test_a_new_box_remembers_nothing(tmp_path: Path) -> None:
    """No file is no damage."""
    assert (await opened(tmp_path))[1] == NOTHING


async def test_an_end_is_kept_over_a_restart(tmp_path: Path) -> None:
    """Id, code, value: what a repeated command is answered with."""
    first, _ = await opened(tmp_path)
    await first.begin(begun())
    await first.end(ended())
    assert (await opened(tmp_path))[1] == Kept((ended(),), (), 0)


@pytest.mark.parametrize("value", [0.25, True, "hand", -3.0])
async def test_what_has_no_end_was_interrupted(tmp_path: Path, value: float | bool | str) -> None:
    """It is told once, with all that is known of it; from then on that is its end."""
    first, _ = await opened(tmp_path)
    what = Begun("c-1", "level-1", "mode", value, "ioc:c-1")
    await first.begin(what)
    end = Outcome("c-1", ok=False, code="interrupted")
    assert (await opened(tmp_path))[1] == Kept((end,), (what,), 0)
    assert (await opened(tmp_path))[1] == Kept((end,), (), 0)


async def test_a_local_write_is_remembered_until_it_ends(tmp_path: Path) -> None:
    """Interrupted it is told once; nobody can ask for it again, so it pushes out no command of the centre."""
    first, _ = await opened(tmp_path)
    what = Begun("local-1", "level-1", "mode", 1.0, journal.LOCAL)
    await first.begin(what)
    await first.begin(begun())
    await first.end(ended())
    for n in range(2, KEPT_MAX + 2):
        await first.begin(Begun(f"local-{n}", "level-1", "mode", 1.0, journal.LOCAL))
        await first.end(Outcome(f"local-{n}", ok=True, code="ok", value=1.0))
    assert (await opened(tmp_path))[1] == Kept((ended(),), (what,), 0)
    assert (await opened(tmp_path))[1] == Kept((ended(),), (), 0)


async def test_it_is_on_disk_before_it_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synced: the file, and of its folder when it is new; for every entry."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())))
    first, _ = await opened(tmp_path)
    await first.begin(begun())
    assert synced == [str(tmp_path / NAME), str(tmp_path)]
    await first.end(ended())
    assert synced[2:] == [str(tmp_path / NAME)]


async def test_a_torn_end_costs_only_itself(tmp_path: Path) -> None:
    """Cut at every byte: what was whole is known, what follows is written and read."""
    first, _ = await opened(tmp_path)
    await first.begin(begun())
    await first.end(ended())
    whole = (tmp_path / NAME).read_bytes()
    half = whole.index(b"\n", 1)
    for cut in range(1, len(whole)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / NAME).write_bytes(whole[:cut])
        next_, kept = await opened(folder)
        assert [one.id for one in kept.interrupted] == (["c-1"] if cut >= half else [])
        assert kept.damaged == (cut not in {1, half, half + 1})
        await next_.begin(begun("c-2"))
        assert [one.id for one in (await opened(folder))[1].interrupted] == ["c-2"]


async def test_a_flipped_bit_is_damage_and_nothing_else(tmp_path: Path) -> None:
    """Anywhere: told, never another command's end, never a refusal to start."""
    first, _ = await opened(tmp_path)
    for n in range(4):
        await first.begin(begun(f"c-{n}"))
        await first.end(ended(f"c-{n}"))
    whole, random = (tmp_path / NAME).read_bytes(), Random(7)
    for n in range(60):
        folder, torn = tmp_path / f"flip-{n}", bytearray(whole)
        torn[random.randrange(len(torn))] ^= 1 << random.randrange(8)
        folder.mkdir()
        (folder / NAME).write_bytes(bytes(torn))
        kept = (await opened(folder))[1]
        assert kept.damaged >= 1
        assert {one.id for one in kept.ended} <= {"c-0", "c-1", "c-2", "c-3"}
        assert all(one in {ended(one.id), Outcome(one.id, ok=False, code="interrupted")} for one in kept.ended)


@pytest.mark.parametrize(
    "junk",
    [b"\x00" * 5000, b"\n00000000 ", b"\nnot hex {}", os.urandom(3000), b"\n" + journal._line(["began", 1])[1:]],
    ids=["zeros", "empty", "text", "noise", "foreign"],
)
async def test_junk_is_told_and_written_over(tmp_path: Path, junk: bytes) -> None:
    """The file is whole again after the start."""
    (tmp_path / NAME).write_bytes(junk)
    assert (await opened(tmp_path))[1].damaged >= 1
    assert (await opened(tmp_path))[1] == NOTHING


async def test_a_file_that_cannot_be_read_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """But what cannot be noted is not carried out."""
    (tmp_path / NAME).mkdir()
    made, kept = await opened(tmp_path)
    assert kept.damaged >= 1
    with pytest.raises(NotNoted):
        await made.begin(begun())


async def test_a_full_disk_refuses_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what was half written does not take the next entry with it."""
    made, _ = await opened(tmp_path)
    await made.begin(begun("c-0"))
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:9]))
    with pytest.raises(NotNoted, match="short"):
        await made.begin(begun("c-1"))
    monkeypatch.setattr(os, "write", real)
    await made.begin(begun("c-2"))
    kept = (await opened(tmp_path))[1]
    assert [one.id for one in kept.interrupted] == ["c-0", "c-2"]
    assert kept.damaged == 1


async def test_it_is_bounded(tmp_path: Path) -> None:
    """The last ids, and a file that does not grow for ever."""
    made, _ = await opened(tmp_path)
    sizes = []
    for n in range(ENTRIES_MAX):
        await made.begin(begun(f"c-{n}"))
        await made.end(ended(f"c-{n}"))
        sizes.append((tmp_path / NAME).stat().st_size)
    assert max(sizes) < 2 * ENTRIES_MAX * 80
    assert sizes != sorted(sizes)
    kept = (await opened(tmp_path))[1]
    assert [one.id for one in kept.ended] == [f"c-{n}" for n in range(ENTRIES_MAX - KEPT_MAX, ENTRIES_MAX)]
    assert kept.damaged == 0


async def test_a_file_that_is_too_long_is_read_from_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else made of it costs no memory."""
    made, _ = await opened(tmp_path)
    for n in range(20):
        await made.begin(begun(f"c-{n}"))
        await made.end(ended(f"c-{n}"))
    monkeypatch.setattr(journal, "BYTES_MAX", 600)
    kept = (await opened(tmp_path))[1]
    assert kept.ended[-1] == ended("c-19")
    assert 1 < len(kept.ended) < 10
