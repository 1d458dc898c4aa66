"""Where `scan` and `probe` ask: a bus of the running gateway, through its socket, or a port or host of our own."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.config.gateway import endpoint as tcp_endpoint
from gateway.config.gateway import serial_port
from gateway.control.client import Client, NoAccess, NotRunning, Refused, first
from gateway.errors import BadReply, BusBusy, DeviceException, GatewayError, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Request
from gateway.seams import Clock
from gateway.south.jobs.lone import Lone
from gateway.south.jobs.ways import Way
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.south.turns import Asks
from gateway.text import words

ILLEGAL_ADDRESS = 2
PATIENCE_S = 12.0  # with the running gateway, whose bus may have no time for some seconds
DEVICES = Path("/dev")
NOT_THE_DAEMONS = ("no_such_bus", "unknown_request")  # the second: a daemon of an older version


class BadTarget(GatewayError):
    """Neither a bus, nor a port, nor a host."""

    code = "bad_target"


class BadLine(GatewayError):
    """Another line than that of the running gateway, which is told."""

    code = "line_in_use"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask at."""

    address: str  # a port's path, or HOST:PORT
    opens: Callable[[Way], AbstractAsyncContextManager[Asks]]
    bus: str = ""  # its name in the running gateway; "" where it is asked directly
    way: Way | None = None  # as the running gateway uses it
    devices: Mapping[int, str] = field(default_factory=dict)  # by unit_id, those that the running gateway knows there

    @property
    def serial(self) -> bool:
        """A port of this machine."""
        return self.way.serial if self.way else self.address.startswith("/")


async def find(target: str, client: Client, clock: Clock) -> Endpoint:
    """Raises BadTarget, NoAccess; that none runs is no error here."""
    address = address_of(target)
    for name in dict.fromkeys((target, address)):
        try:
            answer = await first(client, "bus", target=name)
        except NoAccess:  # it runs, and owns the bus
            raise
        except NotRunning:
            break
        except Refused as refusal:
            if str(refusal) not in NOT_THE_DAEMONS:
                raise
        else:
            return _owned(client, answer)
    if not address:
        raise BadTarget(target)
    return Endpoint(address, lambda way: Lone(address, way, clock))


def address_of(target: str) -> str:
    """A port's path or HOST:PORT; "" for neither.

    A single word is no host: most of all it is a bus whose gateway does not run, or a name that was mistyped.
    """
    try:
        if target.startswith(("/", "by-id/", "by-path/")):
            return serial_port(target)
        if target.startswith("tty") or (DEVICES / target).exists():  # ttyUSB0, plugged in or not
            return str(DEVICES / target)
        return tcp_endpoint(target) if set(target) & set(".:") else ""
    except ValueError:
        return ""


def told(error: GatewayError, lang: str) -> str:
    """What went wrong, why, and what to do; of a refusal by the gateway, the reason that it gave."""
    code = str(error) if isinstance(error, Refused) and words.next_step(str(error), lang) else error.code
    return f"{words.title(code, lang)}: {error}\n{words.next_step(code, lang)}"


class Remote:
    """`Asks` of a bus of the running gateway, which makes the exchanges between its polls."""

    def __init__(self, client: Client, bus: str) -> None:
        self._client = client
        self._bus = bus

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`, for reads in the plain manner; raises NotRunning too, when the gateway goes away."""
        assert manner == PLAIN, "the gateway does not take it over"  # noqa: S101 - a bug of ours
        answer = await first(
            self._client, "ask", bus=self._bus, unit_id=unit_id, question=_plain(request), timeout_ms=timeout_ms
        )
        if not isinstance(answer, dict):
            raise Refused("no answer to this")
        return _reply(answer)


def _owned(client: Client, answer: object) -> Endpoint:
    """A bus as the daemon describes it; raises Refused for what it would never say."""
    try:
        described: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
        name, transport, address = (str(described[key]) for key in ("name", "transport", "endpoint"))
        baud, bits, parity, stop_bits = described["line"]
        devices = {int(unit_id): str(device) for device, unit_id, _ in described["devices"]}
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("not a bus") from error
    way = Way(transport, Line(baud, bits, parity, stop_bits))

    @asynccontextmanager
    async def opens(_: Way) -> AsyncIterator[Asks]:
        yield Remote(client, name)

    return Endpoint(address, opens, name, way, devices)


def _plain(request: Request) -> list[object]:
    if isinstance(request, ReadRequest):
        return [str(request.table), request.address, request.count]
    assert isinstance(request, ReadDeviceId), "jobs only read"  # noqa: S101 - a bug of ours
    return [request.level, request.object_id]


def _reply(answer: Mapping[str, Any]) -> Reply:
    failure, detail = str(answer.get("failure", "")), answer.get("detail")
    if failure == DeviceException.code:
        raise DeviceException(int(detail or 0))
    if failure == "never_read":  # as good as no such register: the profile says that it must not be touched
        raise DeviceException(ILLEGAL_ADDRESS)
    for error in (NoReply, BadReply, BusBusy, LinkDown):
        if failure == error.code:
            raise error(str(detail))
    try:
        data = bytes.fromhex(answer["data"])
        return Reply(data, int(answer["sent_ns"]), int(answer["first_ns"]), int(answer["done_ns"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Refused("no answer to this") from error
