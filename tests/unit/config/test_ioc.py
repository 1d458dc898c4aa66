"""ioc.toml: what is accepted, and every problem by line."""

from pathlib import Path

import pytest

from gateway.config.ioc import IocSettings, OperatorSettings, StoreSettings, read_ioc, read_operator
from gateway.errors import Invalid
from gateway.seams import Broker, Tls

GOOD = """config_version = 1
root = "danang"
[broker]
url = "mqtts://ioc.danang.example"
ca = "/etc/ca.pem"
certificate = "/etc/ingest.pem"
key = "/etc/ingest.key"
[store]
url = "http://127.0.0.1:8086"
database = "city"
token_file = "{token}"
[ingest]
dead_letters = "/var/lib/dead"
relays = ["floods-relay"]
accept = ["field type conflict"]
retention_days = 365
"""
SMALL = """config_version = 1
[broker]
url = "mqtt://127.0.0.1:1884"
[store]
url = "sqlite:/tmp/store.db"
[ingest]
dead_letters = "/tmp/dead"
"""


def read(tmp_path: Path, text: str) -> IocSettings:
    """From a file."""
    (tmp_path / "ioc.toml").write_text(text)
    return read_ioc(tmp_path / "ioc.toml")


def problems(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    """(line, path, code) of each."""
    with pytest.raises(Invalid) as invalid:
        read(tmp_path, text)
    return sorted((problem.line, problem.path, problem.code) for problem in invalid.value.problems)


def test_everything(tmp_path: Path) -> None:
    """Compiled to plain values, the secret from its file."""
    (tmp_path / "token").write_text("s3cret\n")
    found = read(tmp_path, GOOD.format(token=tmp_path / "token"))
    tls = Tls("/etc/ca.pem", "/etc/ingest.pem", "/etc/ingest.key")
    assert found == IocSettings(
        "danang",
        Broker("ioc.danang.example", 8883, "", tls),
        StoreSettings("http://127.0.0.1:8086", "city", token="s3cret"),
        "/var/lib/dead",
        frozenset(("floods-relay",)),
        frozenset(("field type conflict",)),
        365,
    )
    assert "s3cret" not in repr(found)


def test_little(tmp_path: Path) -> None:
    """What can be left out has a default."""
    found = read(tmp_path, SMALL)
    assert (found.root, found.broker) == ("city", Broker("127.0.0.1", 1884, ""))
    assert (found.store.url, found.relays, found.retention_days) == ("sqlite:/tmp/store.db", frozenset(), None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('url = "mqtt://', 'url = "tcp://', (3, "broker.url", "bad_value")),
        ('url = "mqtt://', 'url = "mqtt://user:pw@', (3, "broker.url", "bad_value")),
        (":1884", ":99999", (3, "broker.url", "bad_value")),
        ("mqtt://", "mqtts://", (2, "broker.ca", "missing_key")),
        ("sqlite:/tmp", "sqlite:tmp", (5, "store.url", "bad_value")),
        ("sqlite:/tmp/store.db", "influx://x", (5, "store.url", "bad_value")),
        ("[store]", 'password_file = "/does/not/exist"\n[store]', (4, "broker.password_file", "file_unreadable")),
        ("[store]", 'key = "/k"\n[store]', (4, "broker.key", "bad_value")),
        ("[ingest]", '[ingest]\nrelays = ["Bad Name"]', (7, "ingest.relays[0]", "bad_value")),
        ("[ingest]", '[ingest]\naccept = ["anything"]', (7, "ingest.accept[0]", "not_one_of")),
        ("[ingest]", "[ingest]\nretention_days = 0", (7, "ingest.retention_days", "out_of_bounds")),
        ("[ingest]", "[ingest]\nretain = 5", (7, "ingest.retain", "unknown_key")),
        ("config_version = 1", 'config_version = 1\nroot = "a b"', (2, "root", "bad_value")),
        ("config_version = 1", "config_version = 2", (1, "config_version", "not_one_of")),
        ("[store]", "[board]\n[store]", (4, "board", "not_built_yet")),
        ('dead_letters = "/tmp/dead"', "", (6, "ingest.dead_letters", "missing_key")),
    ],
)
def test_problems(tmp_path: Path, old: str, new: str, expected: tuple[int, str, str]) -> None:
    """Each at its line, by its code."""
    assert old in SMALL
    assert problems(tmp_path, SMALL.replace(old, new)) == [expected]


def test_all_problems_at_once(tmp_path: Path) -> None:
    """Not the first."""
    text = SMALL.replace("mqtt://127.0.0.1:1884", "x").replace("sqlite:/tmp/store.db", "y")
    assert [path for _, path, _ in problems(tmp_path, text)] == ["broker.url", "store.url"]


def operator(tmp_path: Path, text: str) -> OperatorSettings:
    """Of a file."""
    (tmp_path / "ioc.toml").write_text(text)
    return read_operator(tmp_path / "ioc.toml")


def test_commands_are_sent_as_the_operator(tmp_path: Path) -> None:
    """Not as the workers: another certificate at the same broker; the store's secrets are not even read."""
    text = GOOD.format(token=tmp_path / "not-mine") + '[operator]\ncertificate = "/o.pem"\nkey = "/o.key"\n'
    tls = Tls("/etc/ca.pem", "/o.pem", "/o.key")
    assert operator(tmp_path, text) == OperatorSettings("danang", Broker("ioc.danang.example", 8883, "", tls))


def test_without_an_operator_commands_are_sent_as_the_workers(tmp_path: Path) -> None:
    """For a closed network, and to try it."""
    assert operator(tmp_path, SMALL).broker == Broker("127.0.0.1", 1884, "")
    (tmp_path / "word").write_text("s3cret\n")
    named = SMALL + f'[operator]\nusername = "me"\npassword_file = "{tmp_path}/word"\n'
    found = operator(tmp_path, named).broker
    assert (found.username, found.password) == ("me", "s3cret")


@pytest.mark.parametrize(
    ("table", "path"),
    [
        ('certificate = "/o.pem"', "operator.certificate"),
        ('certificate = "/o.pem"\nkey = "/o.key"\npassword_file = "/none"', "operator.password_file"),
    ],
)
def test_problems_of_the_operator_stand_in_its_table(tmp_path: Path, table: str, path: str) -> None:
    """Where they are to be mended."""
    with pytest.raises(Invalid) as invalid:
        operator(tmp_path, GOOD.format(token="/none") + f"[operator]\n{table}\n")
    assert [problem.path for problem in invalid.value.problems] == [path]
