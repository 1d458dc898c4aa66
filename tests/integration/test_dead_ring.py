"""A disk runs full, readings go on in memory, the daemon dies there unheard: the centre's audit names what is lost.

Real daemon, simulators, ingest, and an ext4 of its own (tests/support/loop_disk.py: root and a loop device).
"""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.errors import GatewayError
from gateway.spool.view import RING_LOST
from tests.integration.test_chain import EmbeddedBroker, chain_of
from tests.support import cabinet
from tests.support.chain import Chain, wait_until
from tests.support.loop_disk import LoopDisk

WAIT_S = 60.0
BATCHES = 3  # in the ring, before it dies


def status(chain: Chain) -> dict[str, Any]:
    """What the daemon says; nothing while it does not answer."""
    try:
        return chain.status()
    except GatewayError:
        return {}


def settled(chain: Chain) -> int:
    """Batches with a receipt that are here; -1 while nobody knows."""
    uplinks = cast("list[dict[str, Any]]", status(chain).get("uplinks", []))
    return int(uplinks[0]["settled"]) if uplinks else -1


def fill(path: Path) -> None:
    """To the last block, as something else on the card would."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, b"x" * 65_536)
    except OSError:
        os.fsync(fd)
    finally:
        os.close(fd)


def ring_of(chain: Chain, disk: LoopDisk, broker: EmbeddedBroker) -> tuple[str, str, int]:
    """(the disk's epoch, the ring's, its newest seq), after a while in which nobody listened."""
    wait_until(lambda: settled(chain) > BATCHES, WAIT_S, "batches that the centre has")
    own = str(status(chain)["epoch"])
    broker.kill()
    wait_until(lambda: status(chain).get("connected") is False, WAIT_S, "the uplink to be away")
    fill(disk.path / "filler")
    wait_until(lambda: bool(status(chain).get("failing")), WAIT_S, "a ring")

    def last() -> int:
        ring = cast("dict[str, Any]", status(chain)["epochs"][-1])
        return int(ring["last"])

    wait_until(lambda: last() >= BATCHES, WAIT_S, "batches in the ring")
    return own, str(status(chain)["epoch"]), last()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("power", [False, True], ids=["kill", "power cut"])
def test_what_only_memory_had_is_named(tmp_path: Path, power: bool) -> None:
    """RING-6, RING-7, RING-9: after kill -9 every seq that it had told; after a power cut those of the last flush."""
    broker = EmbeddedBroker(tmp_path)
    with LoopDisk(tmp_path, size_mb=160) as disk:
        (disk.path / "spool").mkdir()
        (tmp_path / "spool").symlink_to(disk.path / "spool")
        with chain_of(tmp_path, broker, None, f'url = "sqlite:{tmp_path / "store.db"}"') as chain:
            own, ring, last = ring_of(chain, disk, broker)
            assert ring != own
            if power:
                disk.cut_power()
            chain.gateway.kill()
            if power:
                disk.come_back()
            (disk.path / "filler").unlink()
            broker.start()
            chain.gateway.start()
            chain.drain()
            assert status(chain)["epoch"] == own
            chain.stop()
            points = cabinet.read_store(tmp_path / "store.db")
            code, said = chain.audit()
    gaps = [point for point in points if point.measurement == "gw_gap"]
    (gap,) = [point for point in gaps if point.tags["epoch"] == ring]
    assert gap.tags["reason"] == RING_LOST
    assert gap.fields["first"] == 1
    named = float(str(gap.fields["last"]))
    assert (1 if power else last) <= named
    assert code == 0, said
    assert ring in said
    assert "unexplained 0" in said
