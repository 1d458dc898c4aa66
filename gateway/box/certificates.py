"""How long the certificates of the uplinks are still good. Blocking; by the ssl module alone."""

import ssl
from collections.abc import Iterable
from typing import Any, Final

from gateway.model import UtcMs

MS_PER_DAY: Final = 86_400_000


def days_left(files: Iterable[str], now: UtcMs) -> float | None:
    """Until the first of all certificates in these PEM files ends, below 0 when it has; None when there is none."""
    ends = [end for file in files for end in _ends(file)]
    return (min(ends) - now) / MS_PER_DAY if ends else None


def _ends(file: str) -> list[int]:
    """Of one file; one that cannot be read has none: the uplink says why it cannot."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(file)
        # OpenSSL names CAs only; a gateway's own certificate is no CA: the first of a file is decoded alone.
        found: list[Any] = [*context.get_ca_certs(), ssl._ssl._test_decode_cert(file)]  # type: ignore[attr-defined]  # noqa: SLF001 - the only decoder there is
    except (OSError, ValueError):
        return []
    return [int(ssl.cert_time_to_seconds(each["notAfter"]) * 1000) for each in found]
