"""gateway.box.certificates: the day on which the first one ends."""

import ssl
from pathlib import Path

from gateway.box.certificates import MS_PER_DAY, days_left
from gateway.model import UtcMs
from tests.support.certificates import Authority

NOW = UtcMs(int(ssl.cert_time_to_seconds("Jan  1 00:00:00 2030 GMT")) * 1000)


def test_the_first_end_counts(tmp_path: Path) -> None:
    """Of the authority and of the box's own certificate, which is no authority; below 0 once it is over."""
    authority = Authority(tmp_path, "root", valid=("20250101000000Z", "20400101000000Z"))
    own = authority.issue("hc-0001", valid=("20250101000000Z", "20300111120000Z"))
    files = (str(authority.certificate), str(own.certificate))
    assert days_left(files, NOW) == 10.5
    assert days_left(files, UtcMs(NOW + 20 * MS_PER_DAY)) == -9.5
    assert days_left(files[:1], NOW) == 3652.0


def test_no_certificate_has_no_end(tmp_path: Path) -> None:
    """None without TLS, or where the files cannot be read: then the uplink says why it is refused."""
    torn = tmp_path / "torn.pem"
    torn.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert days_left((), NOW) is None
    assert days_left((str(torn), str(tmp_path / "gone.pem")), NOW) is None
