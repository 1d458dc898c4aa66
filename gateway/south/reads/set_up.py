"""What a serial device is told once when it comes up, as its profile declares it: when that is due. Pure.

Said before the first visit, and again when it may have begun anew: after LOST_VISITS visits in a row without an answer.
Some devices keep such a setting in a memory that wears out, so what was understood is not said again within APART_MS,
whatever the line does. A step that has an answer is understood when that came; until then the device is not read, and
it is told at every visit. One that has none is taken for understood when it is sent.
"""

from gateway.model import BootMs
from gateway.profile.profile import LocalSource, ModbusSource, ProtocolSource, SerialSource
from gateway.protocols import declared
from gateway.protocols.conversation import Talk
from gateway.protocols.declared import SetupStep

LOST_VISITS = 3
APART_MS = 600_000


class SettingUp:
    """Of one device."""

    def __init__(self, steps: tuple[SetupStep, ...]) -> None:
        self.steps = steps
        self._done = False
        self._done_at: BootMs | None = None
        self._lost = 0

    @staticmethod
    def of(source: ModbusSource | SerialSource | ProtocolSource | LocalSource) -> "SettingUp | None":
        """None for a device that is told nothing."""
        return SettingUp(source.setup) if isinstance(source, SerialSource) and source.setup else None

    def is_due(self, now: BootMs) -> bool:
        """Whether it must be told now."""
        return not self._done and (self._done_at is None or now - self._done_at >= APART_MS)

    def before(self, talk: Talk, address: str, now: BootMs) -> Talk:
        """The setup, and then this talk."""
        try:
            yield from declared.setup(self.steps, address)
            self.understood(now)
            return (yield from talk)
        finally:
            talk.close()

    def understood(self, now: BootMs) -> None:
        """All of it was said, and answered where it has an answer."""
        self._done, self._done_at = True, now

    def answered(self) -> None:
        """A visit brought what it was for."""
        self._lost = 0

    def failed(self) -> None:
        """A visit brought nothing."""
        self._lost += 1
        self.lost(after=LOST_VISITS)

    def lost(self, after: int = 0) -> None:
        """It may have begun anew."""
        if self._lost >= after:
            self._done = False
