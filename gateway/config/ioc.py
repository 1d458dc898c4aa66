"""ioc.toml: broker, store, ingest. Its settings leave as plain values, so that the centre's rooms never meet pydantic.

    config_version = 1
    root = "city"
    [broker]
    url = "mqtts://ioc.danang.example:8883"
    ca = "/etc/gateway/ca.pem"
    certificate = "/etc/gateway/ingest.pem"
    key = "/etc/gateway/ingest.key"
    [store]
    url = "http://127.0.0.1:8086"
    database = "city"
    [ingest]
    dead_letters = "/var/lib/gateway-ioc/dead"
    relays = ["floods-relay"]
    retention_days = 365
    [operator]                            # who sends commands: not the workers
    certificate = "/etc/gateway/operator.pem"
    key = "/etc/gateway/operator.key"

Passwords and tokens stand in files of their own, named here.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field

from gateway.errors import Invalid, Problem
from gateway.seams import Broker, Tls
from gateway.toml_file import Places, Strict, read_located

SECRET_MAX_BYTES = 4096
PORTS = {"mqtt": 1883, "mqtts": 8883}
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_ROOT = re.compile(r"[a-z0-9][a-z0-9-]{0,31}(?:/[a-z0-9][a-z0-9-]{0,31}){0,3}")


class BrokerTable(Strict):
    """The table `[broker]`."""

    url: str
    ca: str = ""
    certificate: str = ""
    key: str = ""
    crl: str = ""
    username: str = ""
    password_file: str = ""


class StoreTable(Strict):
    """The table `[store]`."""

    url: str
    database: str = "city"
    org: str = ""
    ca: str = ""
    username: str = ""
    password_file: str = ""
    token_file: str = ""


class OperatorTable(Strict):
    """The table `[operator]`: as whom commands are sent."""

    certificate: str = ""
    key: str = ""
    username: str = ""
    password_file: str = ""


class IngestTable(Strict):
    """The table `[ingest]`."""

    dead_letters: str = Field(min_length=1)
    relays: tuple[str, ...] = ()
    accept: tuple[Literal["field type conflict", "unable to parse", "beyond retention policy"], ...] = ()
    retention_days: int | None = Field(default=None, ge=1)


class IocFile(Strict):
    """The whole file."""

    not_built: ClassVar[frozenset[str]] = frozenset(("alarms", "board", "relay", "share"))

    config_version: Literal[1]
    root: str = "city"
    broker: BrokerTable
    store: StoreTable
    ingest: IngestTable
    operator: OperatorTable | None = None


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`sqlite:/path/store.db`, or the URL of an InfluxDB and how to come in."""

    url: str
    database: str
    org: str = ""
    ca: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class IocSettings:
    """What the processes of the centre are built from."""

    root: str
    broker: Broker  # its client_id is empty: each worker has its own
    store: StoreSettings
    dead_letters: str  # a folder
    relays: frozenset[str] = frozenset()
    accept: frozenset[str] = frozenset()
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What sending a command needs; nothing of the store."""

    root: str
    broker: Broker  # its client_id is empty


def read_ioc(path: Path) -> IocSettings:
    """Read, check, compile, with the secrets from their files; raises Invalid with all problems."""
    located = read_located(path, IocFile)
    return _Compile(located.value, located.places).settings()


def read_operator(path: Path) -> OperatorSettings:
    """The same file for who sends commands: as `[operator]`, or as the workers where there is none; raises Invalid."""
    located = read_located(path, IocFile)
    return _Compile(located.value, located.places).operator()


class _Compile:
    """Collects problems instead of stopping at the first."""

    def __init__(self, file: IocFile, places: Places) -> None:
        self._file = file
        self._places = places
        self._problems: list[Problem] = []

    def settings(self) -> IocSettings:
        file = self._file
        settings = IocSettings(
            self._root(),
            self._broker(file.broker),
            self._store(file.store),
            file.ingest.dead_letters,
            frozenset(self._relays()),
            frozenset(file.ingest.accept),
            file.ingest.retention_days,
        )
        if self._problems:
            raise Invalid(tuple(self._problems))
        return settings

    def operator(self) -> OperatorSettings:
        table, own = self._file.broker, self._file.operator
        if own is not None:
            table = table.model_copy(update=own.model_dump())
        settings = OperatorSettings(self._root(), self._broker(table, "broker" if own is None else "operator"))
        if self._problems:
            raise Invalid(tuple(self._problems))
        return settings

    def _root(self) -> str:
        if not _ROOT.fullmatch(self._file.root):
            self._problem("bad_value", "root: levels of a-z, 0-9 and -, at most four", "root")
        return self._file.root

    def _relays(self) -> tuple[str, ...]:
        for index, relay in enumerate(self._file.ingest.relays):
            if not _ID.fullmatch(relay):
                self._problem("bad_value", f"{relay!r} is no gateway id", "ingest", "relays", index)
        return self._file.ingest.relays

    def _broker(self, table: BrokerTable, identity: str = "broker") -> Broker:
        """`identity`: the table that says who comes."""
        url = self._url(table.url, ("mqtt", "mqtts"), "broker")
        tls = self._tls(table, identity, encrypted=url.scheme == "mqtts")
        password = self._secret(table.password_file, identity, "password_file")
        port = url.port or PORTS.get(url.scheme, 0)
        return Broker(url.hostname or "", port, "", tls, table.username, password)

    def _tls(self, table: BrokerTable, identity: str, *, encrypted: bool) -> Tls | None:
        if not encrypted:
            for key in ("ca", "certificate", "key", "crl"):
                if getattr(table, key):
                    at = identity if key in OperatorTable.model_fields else "broker"
                    self._problem("bad_value", f"{key} means nothing without mqtts://", at, key)
            return None
        if not table.ca:
            self._problem("missing_key", "mqtts:// needs ca: the broker is always verified", "broker", "ca")
        if bool(table.certificate) != bool(table.key):
            self._problem("missing_key", "certificate and key go together", identity, "certificate")
        return Tls(table.ca, table.certificate, table.key, table.crl)

    def _store(self, table: StoreTable) -> StoreSettings:
        if table.url.startswith("sqlite:"):
            if not table.url.removeprefix("sqlite:").startswith("/"):
                self._problem("bad_value", "sqlite: needs an absolute path", "store", "url")
        else:
            self._url(table.url, ("http", "https"), "store")
        return StoreSettings(
            table.url,
            table.database,
            table.org,
            table.ca,
            table.username,
            self._secret(table.password_file, "store", "password_file"),
            self._secret(table.token_file, "store", "token_file"),
        )

    def _url(self, text: str, schemes: tuple[str, ...], table: str) -> SplitResult:
        url = urlsplit(text)
        try:
            wrong = url.scheme not in schemes or not url.hostname or "@" in url.netloc or url.port == 0
            wrong = wrong or bool(url.query or url.fragment)
        except ValueError:  # a port that is no number below 65 536
            url, wrong = urlsplit(""), True
        if wrong:
            expected = " or ".join(f"{scheme}://host:port" for scheme in schemes)
            self._problem("bad_value", f"url: {expected}, without a name, a password or a query in it", table, "url")
        return url

    def _secret(self, path: str, *steps: str) -> str:
        if not path:
            return ""
        try:
            with Path(path).open("rb") as file:
                return file.read(SECRET_MAX_BYTES).decode().strip()
        except OSError as error:
            self._problem("file_unreadable", f"{path}: {error.strerror}", *steps)
        except UnicodeDecodeError:
            self._problem("file_unreadable", f"{path}: not UTF-8", *steps)
        return ""

    def _problem(self, code: str, detail: str, *steps: str | int) -> None:
        self._problems.append(self._places.problem(code, detail, *steps))
