"""W-93 to W-97 with real processes: a time range asked for again, what is no longer kept, a restart in the middle."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.app.demo_site import GATEWAY
from gateway.model import SeqRanges
from gateway.site import SpoolSettings
from gateway.spool.home import Home
from tests.support import checker, store_points
from tests.support.chain import READY_S, Chain, now_ms, wait_until
from tests.support.servers import Mosquitto

BEFORE_S, LOST_S = 5.0, 8.0  # of load: what the store keeps, and what it loses
RECALL_S, AUDIT_S = 120, 90.0
NOT_KEPT = 3

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


class Lost:
    """A chain at rest, whose store has lost the last seconds of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = Mosquitto(folder)
        self.broker.start()
        self.chain = Chain(folder, self.broker, self.broker.port, None, f'url = "sqlite:{folder / "store.db"}"')
        self.lost_from_ms = 0
        self.whole: set[object] = set()

    def prepare(self) -> None:
        """Load, a copy, more load; all settled; then the copy is put back."""
        self.chain.start()
        wait_until(lambda: bool(self.points()), READY_S, "the first rows")
        time.sleep(BEFORE_S)
        self.still(lambda: self._copy("store", "copy"))
        self.lost_from_ms = now_ms()
        time.sleep(LOST_S)
        self.chain.drain()
        self.whole = self.points()
        self.still(lambda: self._copy("copy", "store"))
        assert self.points() < self.whole
        wait_until(lambda: self.chain.audit()[0] == 1, AUDIT_S, "the audit to see the loss")

    def still(self, step: object) -> None:
        """With nobody who writes to the store."""
        self.chain.ingest.kill()
        assert callable(step)
        step()
        self.chain.ingest.start()

    def points(self) -> set[object]:
        """What the store holds now."""
        path = self.folder / "store.db"
        series = {(truth.kind, truth.device) for truth in checker.read_truth(self.chain.truth)}
        return set(map(repr, store_points.from_sqlite(path, GATEWAY, series))) if path.exists() else set()

    def forgets(self, count: int) -> None:
        """The gateway makes room, as for a full disk: the newest settled batches go, which nobody would do."""
        epochs = self.chain.status()["epochs"]
        assert isinstance(epochs, list)
        numbered = sum(epoch["last"] for epoch in epochs)  # a stop appends one more, and the store has that
        self.chain.gateway.stop()
        home = Home(SpoolSettings(str(self.folder / "spool"), 1 << 30, 60, 0), GATEWAY, "")
        keeper, damaged = home.open_disk()
        assert not damaged
        ids = [id_ for first, last in keeper.file.view.kept_settled().ranges for id_ in range(first, last + 1)]
        keeper.file.drop(SeqRanges.of_seqs(ids[:numbered][-count:]))
        keeper.close()
        home.close()
        self.chain.gateway.start()

    def recall(self) -> "subprocess.Popen[bytes]":
        """`gateway ioc recall --gateway --from --to`, running; what it says is in `said`."""
        # a batch is a second long: what the copy has to its end is not asked for
        ends = [datetime.fromtimestamp(at_ms / 1000, UTC).isoformat() for at_ms in (self.lost_from_ms, now_ms())]
        command = [sys.executable, "-m", "gateway", "ioc", "recall", str(self.chain.ioc), "--gateway", GATEWAY]
        command += ["--from", ends[0], "--to", ends[1], "--expires", str(RECALL_S)]
        with (self.folder / "recall.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    @property
    def said(self) -> str:
        """So far."""
        return (self.folder / "recall.log").read_text()

    def _copy(self, source: str, target: str) -> None:
        for old in self.folder.glob(f"{target}.db*"):
            old.unlink()
        for file in self.folder.glob(f"{source}.db*"):
            shutil.copy(file, file.with_name(file.name.replace(source, target)))


@contextmanager
def lost(folder: Path) -> Iterator[Lost]:
    """Ready to be recalled; nothing of it outlives the test, and a failure shows what was said."""
    world = Lost(folder)
    try:
        world.prepare()
        yield world
    except AssertionError as failure:
        said = world.said if (folder / "recall.log").exists() else ""
        raise AssertionError(f"{failure}\n{said}\n{world.chain.logs()}") from failure
    finally:
        world.chain.kill_all()
        world.broker.kill()


def test_a_time_range_comes_back_though_the_gateway_is_killed_in_the_middle(tmp_path: Path) -> None:
    """W-94: a restart forgets what was asked for, and the centre asks again; every row of the range is back."""
    with lost(tmp_path) as world:
        world.chain.ingest.kill()  # so that what is sent again stays on its way
        running = world.recall()
        wait_until(lambda: "to go)" in world.said, RECALL_S, "the gateway to send again")
        world.chain.gateway.kill()
        wait_until(lambda: "away, waiting for it" in world.said, RECALL_S, "the centre to see that it is away")
        world.chain.gateway.start()
        world.chain.ingest.start()
        assert running.wait(RECALL_S + 30) == 0, world.said
        assert world.points() >= world.whole
        asked = int(world.said.split(" batches asked for", 1)[0].rsplit(" ", 1)[1])
        epochs = world.chain.status()["epochs"]
        assert isinstance(epochs, list)
        assert 0 < asked < sum(epoch["last"] for epoch in epochs), "only the range is asked for"
        wait_until(lambda: world.chain.audit()[0] == 0, AUDIT_S, "a clean audit")


def test_what_is_no_longer_kept_is_told_and_recorded(tmp_path: Path) -> None:
    """W-95, W-96: the rest comes back, the audit explains what does not, and nothing is unexplained."""
    with lost(tmp_path) as world:
        world.forgets(NOT_KEPT)
        running = world.recall()
        assert running.wait(RECALL_S + 30) == 0, world.said
        assert f"No longer kept on the boxes: {NOT_KEPT}." in world.said
        wait_until(lambda: world.chain.audit()[0] == 0, AUDIT_S, "a clean audit")
        said = world.chain.audit()[1]
        assert f"explained {NOT_KEPT}" in said, said
        assert "not_kept" in said, said
