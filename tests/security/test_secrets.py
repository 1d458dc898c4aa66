"""Passwords, tokens and keys stay in their files; what we write is readable by us alone."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from gateway.app import secrets, sites
from gateway.config.gateway import broker_url
from gateway.config.ioc import read_ioc
from gateway.errors import GatewayError, Invalid
from gateway.ioc.store.influx import InfluxSettings
from gateway.seams import Broker
from tests.support.chain import wait_until
from tests.support.city import City, Tap
from tests.support.written import SITE, write

SECRET = "s3cr3t-p4ss-w0rd"
SOON_S = 20.0


@pytest.fixture(autouse=True)
def _like_a_shell() -> Iterator[None]:
    """The umask that most people have."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.server
def test_the_daemon_shows_no_secret(tmp_path: Path) -> None:
    """Not in its journal, status, counters, rows, compiled site, spool, nor in what `check` and `compile` print."""
    city = City(tmp_path)
    write(tmp_path / "secret", SECRET + "\n")
    with city.broker() as broker:
        daemon = city.gateway(broker.port, more='\nusername = "hc"\npassword_file = "./secret"')
        daemon.start()
        try:
            wait_until(lambda: city.control.is_socket() and answers(city, "online"), SOON_S, "a connection")
            said = [str(city.status()), output("status", "--json", "--socket", str(city.control))]
            said += [output("check", str(tmp_path / "site.toml")), output("compile", str(tmp_path / "site.toml"))]
            daemon.stop()
        finally:
            daemon.kill()
        said.append(broker.log_tail())
    hidden = [SECRET, *keys_of(city)]
    assert [text for text in said for one in hidden if one in text] == []
    mine = {tmp_path / "secret", *tmp_path.rglob("*.key")}
    assert [file for file in files(tmp_path) - mine for one in hidden if one.encode() in file.read_bytes()] == []
    assert modes(tmp_path / "spool") == {0o700, 0o600, 0o660} - ({0o660} if not city.control.exists() else set())
    assert modes(tmp_path / ".site.toml.last-good.json") == {0o600}


@pytest.mark.server
def test_ingest_shows_no_secret(tmp_path: Path) -> None:
    """A token that the database never took, while the journal complains of that database."""
    city = City(tmp_path)
    write(tmp_path / "token", SECRET)
    with city.broker() as broker, Tap() as database:
        worker = city.ingest(broker.centre_port)
        file = tmp_path / "ioc.toml"
        text = file.read_text().replace(f"sqlite:{city.store}", f"http://127.0.0.1:{database.port}")
        file.write_text(text.replace("[ingest]", f'token_file = "{tmp_path}/token"\n[ingest]'))
        worker.start()
        try:
            wait_until(lambda: SECRET.encode() in database.heard, SOON_S, "a question to the database")
            wait_until(lambda: "interrupted" in worker.tail(), SOON_S, "a complaint")
        finally:
            worker.kill()
    assert SECRET not in worker.log.read_text()


@pytest.mark.server
def test_what_ingest_writes_is_its_own(tmp_path: Path) -> None:
    """The embedded store, whatever the shell's umask."""
    city = City(tmp_path)
    with city.broker() as broker:
        worker = city.ingest(broker.centre_port)
        worker.start()
        try:
            wait_until(city.store.exists, SOON_S, "a store")
        finally:
            worker.kill()
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("store.db*")} == {0o600}


@pytest.mark.parametrize(
    "url",
    [
        f"mqtts://hc:{SECRET}@ioc.example",
        f"mqtts:hc:{SECRET}@ioc.example",
        f"hc:{SECRET}@ioc.example",
        f"mqtts://:{SECRET}@ioc.example",
        f"mqtts://ioc.example?password={SECRET}",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    """By the site file and by ioc.toml, for broker and for database; the refusal goes to a journal."""
    with pytest.raises(PydanticCustomError) as refused:
        broker_url(url)
    assert SECRET not in str(refused.value)
    assert SECRET not in output("check", str(write(tmp_path / "g.toml", SITE.replace("mqtt://127.0.0.1:1883", url))))
    for broker, store in ((url, "sqlite:/s"), ("mqtt://h", url.replace("mqtts", "http"))):
        text = (
            f'config_version = 1\n[broker]\nurl = "{broker}"\n[store]\nurl = "{store}"\n[ingest]\ndead_letters = "/d"\n'
        )
        with pytest.raises(Invalid) as invalid:
            read_ioc(write(tmp_path / "ioc.toml", text))
        assert SECRET not in str(invalid.value.problems)


def test_a_key_that_is_misspelt_is_not_repeated_with_its_value(tmp_path: Path) -> None:
    """`password` and its like: the value never stands in a problem."""
    for key in ("password", "pasword", "token", "key_password"):
        text = SITE.replace('url = "mqtt', f'{key} = "{SECRET}"\nurl = "mqtt')
        said = output("check", str(write(tmp_path / "g.toml", text)))
        assert key in said or "secret" in said.lower()
        assert SECRET not in said


def test_a_broken_secret_file_is_named_not_quoted(tmp_path: Path) -> None:
    """Not even the byte that is no UTF-8; and no exception below carries the content."""
    (tmp_path / "secret").write_bytes(SECRET.encode() + b"\xff")
    with pytest.raises(secrets.SecretUnreadable) as unreadable:
        secrets.read(str(tmp_path / "secret"))
    assert str(unreadable.value) == f"{tmp_path}/secret: not UTF-8"
    assert unreadable.value.__cause__ is None
    text = SITE_OF_CENTRE.replace("SECRET", str(tmp_path / "secret"))
    with pytest.raises(Invalid) as invalid:
        read_ioc(write(tmp_path / "ioc.toml", text))
    assert invalid.value.problems[0].detail == f"{tmp_path}/secret: not UTF-8"


SITE_OF_CENTRE = """config_version = 1
[broker]
url = "mqtt://h"
username = "u"
password_file = "SECRET"
[store]
url = "sqlite:/s"
[ingest]
dead_letters = "/d"
"""


def test_values_that_hold_secrets_do_not_show_them() -> None:
    """In a traceback or a log, by accident."""
    assert SECRET not in repr(Broker("h", 1, "c", password=SECRET))
    assert SECRET not in repr(InfluxSettings("http://h", "d", token=SECRET, password=SECRET))


def test_ioc_settings_do_not_show_them(tmp_path: Path) -> None:
    """Those too."""
    write(tmp_path / "secret", SECRET)
    text = SITE_OF_CENTRE.replace("SECRET", str(tmp_path / "secret")).replace(
        "[ingest]", f'token_file = "{tmp_path}/secret"\n[ingest]'
    )
    settings = read_ioc(write(tmp_path / "ioc.toml", text))
    assert (settings.broker.password, settings.store.token) == (SECRET, SECRET)
    assert SECRET not in repr(settings)


def test_a_last_good_site_is_written_through_no_link(tmp_path: Path) -> None:
    """In a folder that others may write, a link could lead to any file of ours."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / ".site.toml.last-good.new").symlink_to("victim")
    sites.load(write(tmp_path / "site.toml", SITE), [])
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / ".site.toml.last-good.json").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_last_good_site_of_somebody_else_is_not_run(tmp_path: Path) -> None:
    """It would say where readings go."""
    site = write(tmp_path / "site.toml", SITE)
    sites.load(site, [])
    kept = tmp_path / ".site.toml.last-good.json"
    write(site, "broken")
    assert sites.load(site, []).broken
    os.chown(kept, 12_345, 12_345)
    with pytest.raises(sites.NoSite):
        sites.load(site, [])


def answers(city: City, key: str) -> bool:
    """Whether the status says so."""
    try:
        return bool(city.status()[key])
    except GatewayError:
        return False


def output(*arguments: str) -> str:
    """All that a command prints."""
    done = subprocess.run([sys.executable, "-m", "gateway", *arguments], capture_output=True, check=False, timeout=60)
    return (done.stdout + done.stderr).decode()


def keys_of(city: City) -> list[str]:
    """A line of each private key."""
    return [key.read_text().splitlines()[1] for key in (city.box.key, city.ingest_keys.key)]


def files(folder: Path) -> set[Path]:
    """All regular ones below."""
    return {path for path in folder.rglob("*") if path.is_file()}


def modes(path: Path) -> set[int]:
    """Of it and of all below."""
    return {stat.S_IMODE(one.stat().st_mode) for one in (path, *path.rglob("*"))}
