"""Whether somebody else connects with our id: by what the server says, and by what it does. Pure.

A server that speaks MQTT 5 in full ends the older connection with DISCONNECT 0x8E: twice a minute, and it is certain.
mosquitto 2.0.11 says nothing and hangs up. So a second kind of evidence, which is weaker and told as what it is: a
connection that was young when the server hung up on it without a word, and the next one taken at the first try. A
server that crashes or is restarted does not take the next one at once, as a rule; one whose connections are cut
by something in between, on purpose, may look the same.
"""

from collections import deque
from typing import Final

from gateway.errors import ConnectionLost, PeerError
from gateway.model import BootMs

TAKEN_OVER: Final = 0x8E  # DISCONNECT reason: somebody connected with our client id
WITHIN_MS: Final = 60_000
ALARM_MS: Final = 600_000
YOUNG_MS: Final = 60_000
HUNG_UP_MIN: Final = 3  # within a minute


class Takeover:
    """Told of the ends of connections; `alarm` is the code of what is to be told now, or ""."""

    def __init__(self) -> None:
        self._said: deque[BootMs] = deque(maxlen=2)
        self._hung_up: deque[BootMs] = deque(maxlen=HUNG_UP_MIN)
        self._pending: BootMs | None = None  # hung up on; what becomes of the next try is not known yet

    def connected(self) -> None:
        """The server took us."""
        if self._pending is not None:
            self._hung_up.append(self._pending)
            self._pending = None

    def not_connected(self) -> None:
        """It did not: whatever ended the last connection, it was no second gateway."""
        self._pending = None
        self._hung_up.clear()

    def lost(self, error: PeerError, up_ms: int, now: BootMs) -> None:
        """A connection that was up for so long is over."""
        self._pending = None
        if not isinstance(error, ConnectionLost):
            return
        if error.reason == TAKEN_OVER:
            self._said.append(now)
        elif error.hung_up and up_ms < YOUNG_MS:
            self._pending = now

    def alarm(self, now: BootMs) -> str:
        """identity_used_twice, hung_up_on, or ""."""
        if _often(self._said, 2, now):
            return "identity_used_twice"
        return "hung_up_on" if _often(self._hung_up, HUNG_UP_MIN, now) else ""


def _often(times: deque[BootMs], count: int, now: BootMs) -> bool:
    return len(times) >= count and times[-1] - times[-count] <= WITHIN_MS and now - times[-1] <= ALARM_MS
