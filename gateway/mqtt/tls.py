"""TLS towards a broker, in one place: TLS 1.2 or later; chain, name, revocation and dates always checked. No switch.

A box without a clock would refuse every good certificate, and a switch for "no dates" would stay on for ever. So
OpenSSL's own date check is off (`NO_CHECK_TIME`) and the dates of every certificate in the verified chain are
checked here, inside the handshake: before paho can send CONNECT, so before a password or a will leaves the box.

    trusted clock      notBefore <= now <= notAfter
    no trusted clock   floor <= notAfter; floor = the last trusted time on disk or the build time, the later one

With a CRL file every certificate of the chain is looked up in it, so it holds one list for each CA (several PEM
blocks). OpenSSL's flag covers a list's own dates too: an outdated list still revokes, it no longer stops a gateway.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from gateway.errors import Refused
from gateway.model import UtcMs
from gateway.seams import Tls

TrustedNow: TypeAlias = Callable[[], tuple[UtcMs | None, UtcMs]]
"""(now, or None while no clock is trusted; the floor)."""

NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME; the ssl module has no name for it
NOT_YET_VALID, EXPIRED = 9, 10  # X509_V_ERR_*: the numbers OpenSSL itself would give


@dataclass(frozen=True, slots=True)
class Dates:
    """What a certificate's dates are compared with during one handshake."""

    now: UtcMs | None
    floor: UtcMs

    def check(self, certificate: dict[str, Any]) -> None:
        """Raises Refused with OpenSSL's code; `certificate` is in the form of `SSLSocket.getpeercert`."""
        not_before = ssl.cert_time_to_seconds(certificate["notBefore"]) * 1000
        not_after = ssl.cert_time_to_seconds(certificate["notAfter"]) * 1000
        if (self.floor if self.now is None else self.now) > not_after:
            raise Refused(EXPIRED, f"certificate of {_name(certificate)} expired on {certificate['notAfter']}")
        if self.now is not None and self.now < not_before:
            starts = certificate["notBefore"]
            raise Refused(NOT_YET_VALID, f"certificate of {_name(certificate)} is not valid before {starts}")


class _Context(ssl.SSLContext):
    """A context that carries what its sockets compare dates with."""

    dates: Dates


class _Socket(ssl.SSLSocket):
    """A socket whose handshake is over only after the dates were checked; closes itself when it fails."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature is ssl.SSLSocket's
        """Raises ssl.SSLError, OSError, or Refused for a date."""
        try:
            super().do_handshake(block)
            for certificate in self._verified_chain():
                cast("_Context", self.context).dates.check(certificate)
        except BaseException:
            self.close()  # paho drops a socket whose handshake failed without closing it
            raise

    def _verified_chain(self) -> list[dict[str, Any]]:
        # `getpeercert` knows the leaf only: an expired CA would pass. The public `get_verified_chain` (3.13) gives DER.
        chain = self._sslobj.get_verified_chain()  # type: ignore[attr-defined]
        return [certificate.get_info() for certificate in chain]


def context(tls: Tls, dates: Dates) -> ssl.SSLContext:
    """Raises Refused when a file cannot be read or is not PEM."""
    made = _Context(ssl.PROTOCOL_TLS_CLIENT)  # this protocol verifies chain and name unless told otherwise
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.sslsocket_class = _Socket
    made.dates = dates
    made.verify_flags |= NO_CHECK_TIME
    try:
        made.load_verify_locations(tls.ca)
        if tls.crl:
            made.load_verify_locations(tls.crl)
            made.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
        if tls.certificate:
            made.load_cert_chain(tls.certificate, tls.key or None, password="")  # never ask a terminal
    except OSError as error:  # ssl.SSLError is one
        raise Refused(0, f"a TLS file of {tls.ca}, {tls.crl}, {tls.certificate}, {tls.key}: {error}") from None
    return made


def _name(certificate: dict[str, Any]) -> str:
    return ", ".join(value for part in certificate.get("subject", ()) for _, value in part) or "nobody"
