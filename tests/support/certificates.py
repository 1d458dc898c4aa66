"""A throw-away certificate authority by the openssl command: certificates that are right, or wrong on purpose."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.servers import require

FROM, UNTIL = "20200101000000Z", "20991231235959Z"
LOOPBACK = "IP:127.0.0.1"

_CONFIG = """
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
serial = serial
crlnumber = crlnumber
default_md = sha256
default_crl_days = 3650
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = any_name
[any_name]
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM files of one certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A root of its own in its own folder, or, with `under`, one that another authority vouches for."""

    def __init__(
        self, folder: Path, name: str, *, valid: tuple[str, str] = (FROM, UNTIL), under: Self | None = None
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        (self.folder / "config").write_text(_CONFIG)
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("1000\n")
        (self.folder / "crlnumber").write_text("01\n")
        if under is None:
            request, key = self._request(name)
            self._sign(request, "own", valid, "authority", "-selfsign", "-keyfile", key)
            self.certificate, self.key = self.folder / "own.pem", self.folder / key
        else:
            issued = under.issue(name, valid=valid, extensions="authority")
            self.certificate, self.key = issued.certificate, issued.key

    def issue(
        self, name: str, *, san: str = LOOPBACK, valid: tuple[str, str] = (FROM, UNTIL), extensions: str = ""
    ) -> Issued:
        """A certificate for `name`; `valid` as (from, until) in YYYYMMDDHHMMSSZ."""
        request, key = self._request(name)
        if not extensions:
            extensions = "leaf"
            (self.folder / "config").write_text(f"{_CONFIG}[leaf]\nsubjectAltName = {san}\n")
        self._sign(request, name, valid, extensions, "-cert", str(self.certificate), "-keyfile", str(self.key))
        return Issued(self.folder / f"{name}.pem", self.folder / key)

    def revoke(self, issued: Issued) -> None:
        """It is on the next list."""
        self._openssl("ca", "-config", "config", *self._by(), "-revoke", str(issued.certificate))

    def crl(self) -> Path:
        """A list of what was revoked until now."""
        self._openssl("ca", "-config", "config", *self._by(), "-gencrl", "-out", "crl.pem")
        return self.folder / "crl.pem"

    def _by(self) -> tuple[str, ...]:
        return "-cert", str(self.certificate), "-keyfile", str(self.key)

    def _request(self, name: str) -> tuple[str, str]:
        key = f"{name}.key"
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
        self._openssl("req", "-new", "-config", "config", "-key", key, "-subj", f"/CN={name}", "-out", f"{name}.csr")
        return f"{name}.csr", key

    def _sign(self, request: str, name: str, valid: tuple[str, str], extensions: str, *how: str) -> None:
        start, end = valid
        dates = ("-startdate", start, "-enddate", end)
        output = ("-in", request, "-out", f"{name}.pem", "-extensions", extensions)
        self._openssl("ca", "-batch", "-notext", "-config", "config", *dates, *output, *how)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run([require("openssl"), *arguments], cwd=self.folder, check=True, capture_output=True, timeout=20)
