"""Serve a recorded trace: as the devices that were recorded, or both sides of it, for who only listens."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from gateway.protocols.modbus_frame import Frame, RtuReader, request_length
from simulators.exchange import Outcome
from simulators.fault import Step
from simulators.line import SerialLine
from simulators.moments import Instant, boot_ns
from simulators.recording import BadTrace, Chunk, Player, Recording, recording
from simulators.run import NS_PER_MS
from simulators.serve import announce, stopped
from simulators.serve_rtu import FRAME_GAP_NS
from simulators.serve_tcp import Said, TcpServer

FILE_MAX_BYTES = 256 << 20
PAUSE_NS = 1_000_000_000  # between the end of a trace and its begin, where it is played as a bus
RETRY_NS = 10_000_000
BUS = "replay"  # its name in the file of endpoints


def read_trace(path: Path) -> Recording:
    """Raises BadTrace, or OSError."""
    if path.stat().st_size > FILE_MAX_BYTES:
        raise BadTrace(f"more than {FILE_MAX_BYTES >> 20} MiB")
    with path.open(encoding="utf-8", errors="replace") as file:
        return recording(file)


async def replay(
    recorded: Recording,
    pty: Path | None,
    port: int | None,
    *,
    as_bus: bool = False,
    ports: Path | None = None,
    seconds: float | None = None,
) -> None:
    """On a link to a pty or a port of this machine, until told to stop; raises BadTrace for what cannot be."""
    on_tcp = recorded.transport in ("tcp", "rtu_over_tcp")
    speaks = as_bus or recorded.transport == "stream"
    if port is not None and (speaks or not on_tcp):
        raise BadTrace(
            "played as a bus it needs --pty" if as_bus else f"a recording of {recorded.transport} needs --pty"
        )
    if pty is not None and recorded.transport == "tcp":
        raise BadTrace("a recording of tcp needs --tcp, and is not played as a bus")
    async with AsyncExitStack() as stack:
        play: Callable[[], Awaitable[None]]
        if pty is not None:
            line = stack.enter_context(SerialLine(pty, recorded.line))
            endpoint = str(pty)
            play = Spoken(line, recorded.chunks).run if speaks else Asked(line, Player(recorded)).run
        else:
            desk = Replayed(Player(recorded))
            server = await stack.enter_async_context(TcpServer(recorded.transport, f"127.0.0.1:{port}", desk))
            play, endpoint = server.run, server.endpoint
        if ports is not None:
            announce(ports, {BUS: endpoint})
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(_as_task(play), name="replay")
            await stopped(seconds)
            playing.cancel()


async def _as_task(play: Callable[[], Awaitable[None]]) -> None:
    await play()


@dataclass(slots=True)
class Replayed:
    """`Answers` of a trace."""

    player: Player
    mute: bool = False

    def asked(self, frame: Frame, at: Instant) -> Said | None:
        """As `Answers`."""
        pieces = self.player.answer(frame)
        return Said(at.boot_ns, tuple(Step(one.after_ns / NS_PER_MS, one.data) for one in pieces), None)

    def sent_ns(self, said: Said, step: Step) -> int:
        """As `Answers`: the recorded delay is all."""
        return said.begin_ns + round(step.after_ms * NS_PER_MS)

    def told(self, outcome: Outcome, first: Instant | None) -> None:
        """As `Answers`: what is replayed is nobody's truth."""


@dataclass(slots=True)
class Asked:
    """RTU devices on a pty."""

    line: SerialLine
    player: Player
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)  # when its last byte is due

    async def run(self) -> None:
        """Until cancelled."""
        reader, last_ns = RtuReader(request_length), 0
        while True:
            data, at_ns = await self.line.receive(self._due_ns())
            if not data:
                await self._say()
                continue
            if at_ns - last_ns > FRAME_GAP_NS:
                reader.reset()
            last_ns = at_ns
            for frame in reader.feed(data):
                self.waiting += ((at_ns + piece.after_ns, piece.data) for piece in self.player.answer(frame))

    def _due_ns(self) -> int | None:
        return self.waiting[0][0] - len(self.waiting[0][1]) * self.line.char_ns if self.waiting else None

    async def _say(self) -> None:
        begin_ns = self._due_ns()
        if begin_ns is not None and begin_ns <= boot_ns():
            _, data = self.waiting.popleft()
            await self.line.send(data, begin_ns)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was said on a line, said again, from its begin whenever it has ended; it begins when somebody listens."""

    line: SerialLine
    chunks: tuple[Chunk, ...]

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            while not self.line.listened_to():
                await self.line.until(boot_ns() + RETRY_NS)
            began_ns = boot_ns() + len(self.chunks[0].data) * self.line.char_ns - self.chunks[0].t_ns
            for chunk in self.chunks:
                takes_ns = 0 if chunk.out else len(chunk.data) * self.line.char_ns
                await self.line.send(chunk.data, began_ns + chunk.t_ns - takes_ns)
            await self.line.until(boot_ns() + PAUSE_NS)
