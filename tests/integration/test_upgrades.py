"""W-59, W-76, W-77 with real processes: what was refused before an upgrade of either side comes back after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway import __version__
from tests.support.chain import Chain, Command, wait_until
from tests.support.servers import Mosquitto

EVERY = 7  # of the seqs is refused by the version before
PATIENCE_S = 90.0
HERE = str(Path(__file__).parents[2])

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]


def of_version(folder: Path, version: str, every: int, *arguments: str) -> Command:
    """One of our commands, as that version of it."""
    name = f"{arguments[-1]}-{version}-{every}".replace("/", "_")
    command = Command(folder, name, "tests.support.other_version", version, str(every), *arguments)
    command.environment = {"PYTHONPATH": HERE}
    return command


@contextmanager
def refused(folder: Path) -> Iterator[Chain]:
    """A chain whose ingest has refused some batches, so that they are parked."""
    broker = Mosquitto(folder)
    broker.start()
    chain = Chain(folder, broker, broker.port, None, f'url = "sqlite:{folder / "store.db"}"')
    chain.ingest = ingest(chain, __version__, EVERY)
    try:
        chain.start()
        wait_until(lambda: parked(chain) > 0, PATIENCE_S, "a batch to be parked")
        yield chain
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{chain.logs()}") from failure
    finally:
        chain.kill_all()
        broker.kill()


def ingest(chain: Chain, version: str, every: int) -> Command:
    """Not started."""
    return of_version(chain.folder, version, every, "ioc", "ingest", str(chain.ioc), "--name", "ingest-1")


def parked(chain: Chain) -> int:
    """Batches; -1 while nobody knows."""
    if not chain._answers():
        return -1
    epochs = chain.status()["epochs"]
    assert isinstance(epochs, list)
    return sum(last - first + 1 for epoch in epochs for first, last in epoch["parked"])


def is_up(chain: Chain) -> bool:
    """Whether the gateway answers, and has its connection."""
    return chain._online()


def test_a_new_version_of_the_centre(tmp_path: Path) -> None:
    """It takes what the old one refused: all is settled, without anybody asking for it."""
    with refused(tmp_path) as chain:
        chain.ingest.kill()
        chain.ingest = ingest(chain, "99.0.0", 0)
        chain.ingest.start()
        wait_until(lambda: parked(chain) == 0, PATIENCE_S, "what was refused to come back")
        chain.drain()
        chain.stop()
        assert "theirs=('99.0.0',) refused_again=" in chain.gateway.log.read_text()
        assert chain.audit()[0] == 0


def test_a_new_version_of_the_gateway(tmp_path: Path) -> None:
    """A restart alone brings nothing back; one of a new version does."""
    with refused(tmp_path) as chain:
        chain.ingest.kill()
        chain.ingest = ingest(chain, __version__, 0)
        chain.ingest.start()
        chain.gateway.stop()
        chain.gateway.start()
        wait_until(lambda: is_up(chain), PATIENCE_S, "the gateway to come back")
        assert parked(chain) > 0
        chain.gateway.stop()
        chain.gateway = of_version(tmp_path, "99.0.0", 0, "run", str(chain.site))
        chain.gateway.start()
        wait_until(lambda: is_up(chain), PATIENCE_S, "the gateway to come back")
        wait_until(lambda: parked(chain) == 0, PATIENCE_S, "what was refused to come back")
        chain.drain()
        chain.stop()
        assert "ours=('99.0.0',) theirs=() refused_again=" in chain.gateway.log.read_text()
        assert chain.audit()[0] == 0
