"""Dates of certificates; the handshake itself is in tests/integration/test_mqtt_tls.py."""

import ssl
from pathlib import Path

import pytest

from gateway.errors import Refused
from gateway.model import UtcMs
from gateway.mqtt.tls import NO_CHECK_TIME, Dates, context
from gateway.seams import Tls
from tests.support.certificates import Authority

START = UtcMs(1_767_225_600_000)  # 2026-01-01T00:00:00Z
END = UtcMs(1_798_761_600_000)  # 2027-01-01T00:00:00Z
CERTIFICATE = {
    "subject": ((("commonName", "ioc"),),),
    "notBefore": "Jan  1 00:00:00 2026 GMT",
    "notAfter": "Jan  1 00:00:00 2027 GMT",
}
EARLY, LATE = UtcMs(START - 1), UtcMs(END + 1)


@pytest.mark.parametrize(
    ("now", "floor", "code"),
    [
        (START, UtcMs(0), None),
        (END, UtcMs(0), None),
        (EARLY, UtcMs(0), 9),
        (LATE, UtcMs(0), 10),
        (END, LATE, None),  # a trusted clock is believed, whatever was given out before
        (None, UtcMs(0), None),  # no clock: a box of 1970 gets in
        (None, EARLY, None),
        (None, END, None),
        (None, LATE, 10),
    ],
)
def test_with_a_clock_both_dates_count_without_one_only_the_end(
    now: UtcMs | None, floor: UtcMs, code: int | None
) -> None:
    """Design section 8, at both edges."""
    if code is None:
        Dates(now, floor).check(CERTIFICATE)
        return
    with pytest.raises(Refused, match="certificate of ioc") as refused:
        Dates(now, floor).check(CERTIFICATE)
    assert refused.value.reason == code


def test_everything_but_the_dates_is_left_to_openssl_and_switched_on(tmp_path: Path) -> None:
    """TLS 1.2, chain and name; there is no way to a context without them."""
    made = context(Tls(_authority(tmp_path)), Dates(START, START))
    assert made.minimum_version == ssl.TLSVersion.TLSv1_2
    assert made.verify_mode == ssl.CERT_REQUIRED
    assert made.check_hostname
    assert made.verify_flags & NO_CHECK_TIME


def test_a_file_that_is_no_pem_is_refused(tmp_path: Path) -> None:
    """Named, and not an exception of ssl."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(Refused, match=r"ca\.pem"):
        context(Tls(str(tmp_path / "ca.pem")), Dates(START, START))


def test_a_key_that_does_not_fit_its_certificate_is_refused(tmp_path: Path) -> None:
    """A card that was prepared wrongly."""
    authority = _authority(tmp_path)
    with pytest.raises(Refused):
        context(Tls(authority, certificate=authority, key=authority), Dates(START, START))


def _authority(folder: Path) -> str:
    return str(Authority(folder, "ca").certificate)
