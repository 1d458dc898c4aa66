"""Devices whose protocol has a module, on a pty or behind a converter: the other side of it, at its speed.

All devices of a line hear the same bytes. Each does its own steps: what it sends begins when it has heard the question
to its end and has waited as long as it says; a change of speed is one of the line, until the round is over.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Step
from gateway.protocols.framing import FrameReader
from gateway.protocols.modbus_frame import Frame
from gateway.site import Bus
from simulators.device import Answer, TwinDevice
from simulators.exchange import Outcome
from simulators.fault import Exchange
from simulators.fault import Step as Piece
from simulators.line import SerialLine, character_ns
from simulators.moments import boot_ns, now
from simulators.run import NS_PER_MS, Run
from simulators.serve_line import LineServer, line_of

TIMEOUT_MS = 1000  # what "late" is counted by
IDLE_NS = 100_000_000


class TwinServer(LineServer):
    """The devices of one serial line."""

    def __init__(self, bus: Bus, devices: Sequence[TwinDevice], run: Run) -> None:
        line = line_of(bus, SerialLine)
        super().__init__(line.endpoint, line, run)
        self._bus = bus
        self._parties = [_Party(device) for device in devices]

    async def run(self) -> None:
        """One round of each device after the other, until cancelled."""
        while True:
            for party in self._parties:
                await self._act(party)
            until_ns = min(party.until_ns for party in self._parties)
            data, at_ns = await self._line.receive(min(until_ns, boot_ns() + IDLE_NS))
            heard_ns = at_ns + len(data) * self._line.char_ns
            for party in self._parties:
                party.hear(data, heard_ns)

    async def _act(self, party: "_Party") -> None:
        """All that it does before it waits again."""
        while not party.waits():
            match party.step:
                case None:
                    self._at_speed(self._bus.line.baud)
                    party.begin()
                case Send(data):
                    await self._send(party, data)
                    party.go_on(b"")
                case SetBaud(baud):
                    self._at_speed(baud)
                    party.go_on(b"")

    def _at_speed(self, baud: int) -> None:
        self._line.line = replace(self._line.line, baud=baud)
        self._line.char_ns = character_ns(self._line.line)

    async def _send(self, party: "_Party", data: bytes) -> None:
        outcome = self._outcome(party, party.told.answer(data))
        via = "poll" if party.asked else "stream"
        await self._say(party.device.name, outcome, max(party.at_ns, boot_ns()), via)
        party.at_ns = boot_ns()

    def _outcome(self, party: "_Party", answer: Answer) -> Outcome:
        device = party.device
        chosen = self._run.in_force.spoils(device.name, self._run.now_ms()) if answer.served else None
        if chosen is None:
            return Outcome(device.name, device.kind, answer, (Piece(0, answer.data),))
        exchange = Exchange("talk", b"", Frame(0, answer.data), TIMEOUT_MS, chosen.chance, chosen.turn)
        pieces = chosen.spoiled.steps(exchange)
        delivered = chosen.spoiled.may_be_right and all(piece.after_ms <= TIMEOUT_MS for piece in pieces)
        return Outcome(device.name, device.kind, answer, pieces, chosen.fault.kind, delivered)


class _Party:
    """Where one device stands."""

    def __init__(self, device: TwinDevice) -> None:
        self.device = device
        self.step: Step | None = None
        self.at_ns = self.until_ns = boot_ns()  # its own time; what it waits for at most
        self.asked = False
        self._steps, self.told = device.round(lambda: now().utc_ms)
        self._reader: FrameReader | None = None

    def begin(self) -> None:
        """Another round."""
        self._steps, self.told = self.device.round(lambda: now().utc_ms)
        self.asked = False
        self._enter(next(self._steps, None))

    def go_on(self, answer: bytes) -> None:
        """To the next step; None when the round is over."""
        try:
            self._enter(self._steps.send(answer))
        except StopIteration:
            self._enter(None)

    def waits(self) -> bool:
        """Whether it has to wait yet; what it has waited for long enough is over."""
        if not isinstance(self.step, Receive | Pause):
            return False
        if boot_ns() < self.until_ns:
            return True
        self.at_ns = self.until_ns
        self.go_on(b"")
        return False

    def hear(self, data: bytes, heard_ns: int) -> None:
        """What is on the line, and when its last character has come."""
        if self._reader is None or not isinstance(self.step, Receive):
            return
        fits = self.step.fits
        for frame in self._reader.feed(data):
            if fits is None or fits(frame):
                self.asked, self.at_ns = True, heard_ns
                self.go_on(frame)
                return

    def _enter(self, step: Step | None) -> None:
        self.step = step
        self._reader = FrameReader(step.framing, in_step=True) if isinstance(step, Receive) else None
        wait_ms = step.timeout_ms if isinstance(step, Receive) else step.ms if isinstance(step, Pause) else 0
        self.until_ns = max(self.at_ns, boot_ns()) + wait_ms * NS_PER_MS
