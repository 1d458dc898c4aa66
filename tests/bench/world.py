"""A whole chain as real processes for the benches that watch a daemon; nothing of it outlives the `with`."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gateway.app.demo_site import ioc_text
from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from tests.bench.site import Bus, profiles, write_site
from tests.support.chain import Command, wait_until
from tests.support.servers import Mosquitto, free_port

READY_S = 20.0
BROKER = (
    "log_type none",  # the tests' broker writes a line for every packet
)


def tcp_bus(name: str, devices: int, registers: int, every: str) -> Bus:
    """A converter on a free port of this machine, with so many devices behind it."""
    return Bus(name, f'host = "127.0.0.1:{free_port()}"', devices, registers, every)


@contextmanager
def daemon(folder: Path, buses: Sequence[Bus]) -> Iterator[int]:
    """The pid of a daemon that reads simulators, keeps a spool and is answered by an ingest through mosquitto."""
    folder.mkdir()
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder, settings=BROKER))
        site = write_site(folder, broker.port, buses)
        ioc = folder / "ioc.toml"
        ioc.write_text(ioc_text(folder, broker.port, f'url = "sqlite:{folder}/store.db"'))
        command(stack, folder, "devices", "tests.bench.devices", str(site), str(profiles(folder)))
        wait_until(site.with_suffix(".ports").exists, READY_S, "the simulators")
        command(stack, folder, "ingest", "gateway", "ioc", "ingest", str(ioc), "--name", "bench")
        gateway = command(stack, folder, "gateway", *run(site))
        wait_until(lambda: _receipted(folder), READY_S, "the first receipt")
        yield gateway.pid
        assert gateway.alive(), gateway.tail()


def command(stack: ExitStack, folder: Path, name: str, *arguments: str) -> Command:
    """Started now, killed at the end of `stack`; its log is in `folder`."""
    child = Command(folder, name, *arguments)
    stack.callback(child.kill)
    child.start()
    return child


def run(site: Path) -> tuple[str, ...]:
    """`gateway run` of a bench's site."""
    return "gateway", "run", str(site), "--profiles", str(profiles(site.parent))


def status(folder: Path) -> dict[str, object]:
    """What the daemon says; raises GatewayError while none answers."""
    answer = asyncio.run(first(_control(folder), "status"))
    assert isinstance(answer, dict)
    return answer


def polls_so_far(folder: Path) -> float:
    """How many polls the daemon has made."""
    counted = asyncio.run(first(_control(folder), "counters"))
    assert isinstance(counted, list)
    return sum(float(value) for name, _, value in counted if name == "polls")


def _control(folder: Path) -> SocketClient:
    return SocketClient(folder / "spool" / "control.sock")


def _receipted(folder: Path) -> bool:
    try:
        return bool(status(folder)["last_receipt_ms"])
    except GatewayError:
        return False  # it starts
