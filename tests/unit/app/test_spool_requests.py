"""gateway.app.spool_requests: the spool on the control socket, and `spool_access` as its other end."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.app import spool_requests
from gateway.app.spool_access import Access, Local, Remote, as_owner, found
from gateway.app.spool_requests import arguments_of, wanted_of
from gateway.control.client import NoAccess, Refused, SocketClient
from gateway.errors import Malformed, SpoolInUse
from gateway.model import SeqRanges, UtcMs
from gateway.spool.export import ALL, Wanted
from gateway.spool.lock import Lock
from gateway.spool.visit import NoSpool
from tests.support.daemon import daemon, says
from tests.support.spools import Box


@pytest.fixture
async def box(tmp_path: Path) -> Box:
    """Four batches that wait."""
    box = Box(tmp_path / "spool")
    await box.start()
    for _ in range(3):
        await box.measure()
    return box


async def test_the_gateway_answers_what_its_spool_says(box: Box, tmp_path: Path) -> None:
    """Report, pages, verify and renew come through the socket as they are."""
    handlers = {**spool_requests.handlers(box.spool), "status": says({"gw": "hc-0001"})}
    async with daemon(tmp_path / "control.sock", handlers), found(tmp_path / "control.sock", None) as access:
        assert isinstance(access, Remote)
        assert await access.status() == {"gw": "hc-0001"}
        assert await access.report() == await box.spool.report()
        wanted = Wanted(ALL, seqs=SeqRanges.of([(2, 3)]))
        assert await access.export(wanted, 0) == await box.spool.export(wanted, 0)
        assert await access.verify(0) == await box.spool.verify(0)
        old = box.spool.epoch
        assert await access.renew() == (old, box.spool.epoch)
    await box.spool.close()


async def test_where_none_runs_the_folder_is_looked_at(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default folder, or the one that is named; the lock is let go at the end."""
    await box.spool.close()
    monkeypatch.setattr("gateway.app.spool_access.FOLDER_DEFAULT", box.folder)
    for folder in (None, box.folder):
        async with found(tmp_path / "nothing.sock", folder) as access:
            assert isinstance(access, Local)
            assert await access.status() == {}
            assert (await access.report()).epochs[0].pending == 4
            assert len((await access.export(Wanted(), 0)).lines) == 4
            assert (await access.verify(0)).findings == ()
            old, new = await access.renew()
            assert old != new
    Lock(box.folder).release()


async def test_a_folder_that_is_named_is_meant_whoever_runs(box: Box, tmp_path: Path) -> None:
    """A card in a reader: the gateway that runs here is not asked; a spool in use is not touched."""
    async with daemon(tmp_path / "control.sock", {"status": says({})}):
        with pytest.raises(SpoolInUse):
            async with found(tmp_path / "control.sock", box.folder):
                pass
        with pytest.raises(NoSpool):
            async with found(tmp_path / "control.sock", tmp_path):
                pass
    await box.spool.close()


async def test_one_that_may_not_be_asked_is_not_gone_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs: its folder is its own."""

    async def no_access(*_: object, **__: object) -> object:
        raise NoAccess("control.sock: Permission denied")

    monkeypatch.setattr("gateway.app.spool_access.first", no_access)
    with pytest.raises(NoAccess):
        async with found(tmp_path / "control.sock", None):
            pass


@pytest.mark.parametrize("answer", [[], {}, {"epochs": [[1]]}, {"lines": 7, "findings": 7}])
async def test_nonsense_is_refused(tmp_path: Path, answer: object) -> None:
    """From a gateway of another version."""
    names = ("spool", "spool_export", "spool_verify")
    async with daemon(tmp_path / "control.sock", {name: says(answer) for name in names}):
        access: Access = Remote(SocketClient(tmp_path / "control.sock"))
        for asked in (access.report(), access.export(Wanted(), 0), access.verify(0)):
            with pytest.raises(Refused):
                await asked


def test_what_is_wanted_comes_over_whole() -> None:
    """Every condition."""
    wanted = Wanted(ALL, "k3v9x2", SeqRanges.of([(1, 3), (9, 9)]), UtcMs(5), UtcMs(1_795_521_600_000))
    assert wanted_of(arguments_of(wanted)) == wanted
    assert wanted_of({}) == Wanted()


@pytest.mark.parametrize(
    "arguments",
    [
        {"kind": "everything"},
        {"kind": ["all"]},
        {"epoch": "K 3"},
        {"epoch": 7},
        {"seqs": [[3]]},
        {"seqs": [[3, 1]]},
        {"seqs": [[0, 1]]},
        {"seqs": [[1, 1]] * 257},
        {"from_ms": "yesterday"},
        {"to_ms": -1},
    ],
)
def test_arguments_are_checked(arguments: dict[str, object]) -> None:
    """By hand, as all that comes in."""
    with pytest.raises(Malformed):
        wanted_of(arguments)


@pytest.mark.parametrize("after", [-1, "1", 2**60, None])
async def test_so_is_where_to_go_on(box: Box, after: object) -> None:
    """An order of a batch."""
    table = spool_requests.handlers(box.spool)
    for name in ("spool_export", "spool_verify"):
        with pytest.raises(Malformed):
            await anext(table[name]({"after": after}))
    await box.spool.close()


def test_root_looks_as_the_owner() -> None:
    """Files that come into being there belong to the gateway's user; anybody else stays who they are."""
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with TemporaryDirectory() as name:  # not in tmp_path: only we may pass the folders above that
        folder = Path(name)
        if os.geteuid() == 0:  # CI runs as root; elsewhere nobody can be anybody else, and that is what is seen
            os.chown(folder, 65534, 65534)
        with as_owner(folder):
            (folder / "made").touch()
            owner = (os.geteuid(), os.getegid())
        made = (folder / "made").stat()
        assert (made.st_uid, made.st_gid) == owner == (folder.stat().st_uid, folder.stat().st_gid)
        assert (os.geteuid(), os.getegid(), os.getgroups()) == before
        with as_owner(folder / "nothing"):
            assert os.geteuid() == before[0]
