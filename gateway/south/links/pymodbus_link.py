"""The second opinion: pymodbus behind the same `Link`. Found by entry point `gateway.links`, imported by no one.

What pymodbus decides is kept to the wire: framing, CRC, transactions. No retries, no reconnect, no timeout of its own
(the deadline of each request is set before it); requests go in as bytes and responses come out as bytes, so that the
checks are the ones our links make (`modbus_pdu.reply_data`). What comes is seen by us first (its time, the trace), and
a hook tells that the connection is lost, which it would otherwise notice only after the timeout.

It hands the first frame of the right unit_id to whoever waits, whatever its function and count, and drops what comes
unasked. So this link cannot show what it heard: `drain` is None, and the guard bars the whole unit_id after doubt.
Its log is off: all that it says reaches us as an exception or a silence, and is counted there.
"""

import logging
import socket
from typing import Any

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient, AsyncModbusUdpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.framer import FramerType
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from gateway.errors import BadReply, LinkDown, NoReply
from gateway.protocols.modbus_pdu import Request, encode_request, reply_data
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south.links.link import Heard, NotSent, Reply
from gateway.south.links.ports import UNANSWERED_MAX_MS
from gateway.south.links.pulse import LOST, Pulse
from gateway.south.links.trace import Trace

CONNECT_TIMEOUT_S = 5.0
NEVER = 1 << 31  # requests without an answer before pymodbus closes the connection by itself

_SERIAL = {"rtu": FramerType.RTU, "ascii": FramerType.ASCII}
_NETWORK: dict[str, tuple[type[AsyncModbusTcpClient] | type[AsyncModbusUdpClient], FramerType]] = {
    "tcp": (AsyncModbusTcpClient, FramerType.SOCKET),
    "rtu_over_tcp": (AsyncModbusTcpClient, FramerType.RTU),
    "udp": (AsyncModbusUdpClient, FramerType.SOCKET),
}
_REQUESTS = DecodePDU(is_server=True)


async def open_link(bus: Bus, clock: Clock, trace: Trace | None = None) -> "PymodbusLink":
    """The link of a bus whose driver is pymodbus; raises LinkDown."""
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)
    link = PymodbusLink(bus, clock, trace)
    try:
        await link.connect()
    except BaseException:
        await link.close()
        raise
    return link


class PymodbusLink:
    """`Link` by pymodbus; blind, and dead after LinkDown. Notes in `trace` what it sends and what comes."""

    def __init__(self, bus: Bus, clock: Clock, trace: Trace | None = None) -> None:
        self._endpoint = bus.endpoint
        self._clock = clock
        self._trace = Trace() if trace is None else trace
        self._pulse = None if bus.serial else Pulse()
        self._client = self._make_client(bus)
        self._client.set_max_no_responses(NEVER)
        self._hand_over = self._client.ctx.datagram_received
        self._client.ctx.datagram_received = self._on_bytes  # type: ignore[method-assign]
        self._t_first_ns = 0
        self._is_up = False
        self._closed = False

    async def connect(self) -> None:
        """Raises LinkDown."""
        if not await self._client.connect():
            raise LinkDown(f"pymodbus cannot open {self._endpoint}")
        connection = self._client.ctx.transport.get_extra_info("socket")
        if connection is not None and connection.type == socket.SOCK_STREAM:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_MAX_MS)
        self._is_up = True

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """As `Link`."""
        if not self._is_up:
            raise NotSent(f"pymodbus lost {self._endpoint}")
        t_sent_ns = self._clock.boot_ns()
        self._t_first_ns = 0
        self._client.ctx.comm_params.timeout_connect = max((deadline_ns - t_sent_ns) / 1e9, 0.0)
        try:
            response = await self._execute(unit_id, request)
        except NoReply:
            if self._pulse is not None and self._pulse.missed(t_sent_ns, self._clock.boot_ns()):
                self._is_up = False
                raise LinkDown(LOST) from None
            raise
        t_done_ns = self._clock.boot_ns()
        if response.dev_id != unit_id:
            raise BadReply(f"unit_id {response.dev_id} answers")
        return Reply(reply_data(request, _pdu(response)), t_sent_ns, self._t_first_ns or t_done_ns, t_done_ns)

    def wake(self, data: bytes) -> None:
        """As `Link`: past pymodbus' transactions, which it may do between them."""
        if not self._is_up:
            raise NotSent(f"pymodbus lost {self._endpoint}")
        self._client.ctx.send(self._on_packet(sending=True, data=data))

    def drain(self) -> Heard | None:
        """As `Link`: pymodbus keeps nothing."""
        return None

    async def close(self) -> None:
        """As `Link`."""
        self._closed = True
        self._is_up = False
        self._client.close()

    async def _execute(self, unit_id: int, request: Request) -> ModbusPDU:
        question = _REQUESTS.decode(encode_request(request))
        if question is None:
            raise BadReply(f"pymodbus does not know {request}")
        question.dev_id = unit_id
        try:
            return await self._client.execute(False, question)  # type: ignore[no-any-return]  # noqa: FBT003
        except ConnectionException:
            self._is_up = False
            raise LinkDown(f"pymodbus lost {self._endpoint}") from None
        except ModbusException as error:
            raise self._doubt(str(error)) from None
        except OSError as error:
            self._is_up = False
            raise LinkDown(f"pymodbus lost {self._endpoint}: {error}") from None

    def _doubt(self, why: str) -> NoReply | BadReply:
        return BadReply(why) if self._t_first_ns else NoReply("nothing came")

    def _on_packet(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 - pymodbus' signature
        if sending:  # of what comes it shows what it holds, not what is new
            self._trace.note(self._clock.boot_ns(), data, sent=True)
        return data

    def _on_bytes(self, data: bytes, addr: tuple[Any, ...] | None) -> None:
        at_ns = self._clock.boot_ns()
        self._t_first_ns = self._t_first_ns or at_ns
        self._trace.note(at_ns, data, sent=False)
        if self._pulse is not None:
            self._pulse.beat()
        try:
            self._hand_over(data, addr)
        except ModbusException as error:  # a frame that it cannot take apart; asyncio would end the connection for it
            self._client.ctx.recv_buffer = b""
            self._fail(error)

    def _on_connect(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus' signature
        if connected:
            return
        self._is_up = False
        if not self._closed:
            self._fail(ConnectionException("lost"))

    def _fail(self, error: ModbusException) -> None:
        waiting = self._client.ctx.response_future
        if not waiting.done():
            waiting.set_exception(error)
            waiting.exception()  # whoever waits gets it; if nobody does, nothing is left to say

    def _make_client(self, bus: Bus) -> AsyncModbusTcpClient | AsyncModbusUdpClient | AsyncModbusSerialClient:
        if bus.transport in _SERIAL:
            return AsyncModbusSerialClient(
                bus.endpoint,
                framer=_SERIAL[bus.transport],
                baudrate=bus.line.baud,
                bytesize=bus.line.bits,
                parity=bus.line.parity,
                stopbits=bus.line.stop_bits,
                timeout=CONNECT_TIMEOUT_S,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._on_packet,
                trace_connect=self._on_connect,
            )
        host, _, port = bus.endpoint.rpartition(":")
        if not host or not port.isdecimal() or bus.transport not in _NETWORK:
            raise LinkDown(f"no link for {bus.transport} to {bus.endpoint!r}")
        client, framer = _NETWORK[bus.transport]
        return client(
            host.strip("[]"),
            port=int(port),
            framer=framer,
            timeout=CONNECT_TIMEOUT_S,
            retries=0,
            reconnect_delay=0,
            trace_packet=self._on_packet,
            trace_connect=self._on_connect,
        )


def _pdu(response: ModbusPDU) -> bytes:
    """The response as it came."""
    if isinstance(response, ReadDeviceInformationResponse):
        response.number_of_objects = 0  # its `encode` counts them again on top
    return bytes((response.function_code,)) + response.encode()
