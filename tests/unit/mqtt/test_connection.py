"""What becomes of foreign exceptions; all else needs a server: tests/integration/test_mqtt_real.py."""

import ssl

import pytest

from gateway.errors import ConnectionLost, PeerError, Refused
from gateway.mqtt.connection import _translated


@pytest.mark.parametrize(
    ("error", "expected", "text"),
    [
        (ConnectionRefusedError(111, "Connection refused"), ConnectionLost, "refused"),
        (TimeoutError("timed out"), ConnectionLost, "timed out"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), Refused, "wrong version number"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), ConnectionLost, "UnicodeDecodeError"),
        (KeyError("paho's own"), ConnectionLost, "KeyError"),
        (Refused(10, "certificate expired"), Refused, "expired"),
    ],
)
def test_no_foreign_exception_leaves_the_room(error: Exception, expected: type[PeerError], text: str) -> None:
    """Of ssl, of sockets, of paho: ours, with the cause in words."""
    translated = _translated(error)
    assert type(translated) is expected
    assert text in str(translated)
