"""What a broken file gets, and a broker or a database that is not there: exit status, log, status, store.

Messages and devices have files of their own: test_bad_messages, test_bad_devices.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.text import words
from tests.integration.test_chain import EmbeddedBroker
from tests.support import cabinet, station
from tests.support.cabinet import WAIT_S
from tests.support.centre import Box, Centre, centre_in, events_of
from tests.support.chain import Command, wait_until
from tests.support.servers import Influxd, free_port
from tests.support.written import line_of

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """Broker and worker without a server to install."""
    folder = tmp_path_factory.mktemp("embedded")
    broker = EmbeddedBroker(folder)
    broker.start()
    try:
        with centre_in(folder, broker) as made:
            yield made
    finally:
        broker.kill()


def test_a_broken_first_file_starts_nothing(tmp_path: Path) -> None:
    """Exit 2; every problem of file and profiles at once, each with its place and what to do; no spool, no socket."""
    box = Box(tmp_path, "hc-1", free_port())
    text = box.site.read_text().replace("100 MB", "100") + "colour = 1\n[[bus]]\nname = 'B'\n"
    profile = station.PROFILE.replace("u16", "u17")
    box.site.write_text(text)
    (box.profiles / "acme" / "station.toml").write_text(profile)
    code, said = box.refused()
    assert code == 2
    for file, place, what in (
        (box.site, f"{line_of(text, 'quota')}: spool.quota", "bad_size"),
        (box.site, f"{line_of(text, 'colour')}: uplink[0].server[0].colour", "unknown_key"),
        (box.site, f"{line_of(text, '[[bus]]') + 1}: bus[0].name", "bad_id"),
        (box.profiles / "acme/station.toml", f"{line_of(profile, 'u17')}: fields.frequency.type", "not_one_of"),
    ):
        (line,) = [line for line in said.splitlines() if line.startswith(f"{file}:{place}: {what}: ")]
        assert words.next_step(what, "en") in line
    assert words.next_step("no_site", "en") in said
    assert not (tmp_path / "spool").exists()
    assert not box.kept().exists()


@pytest.mark.parametrize("broken", ["site", "profile", "absent"])
def test_a_file_that_breaks_later_runs_the_last_good_site(embedded: Centre, tmp_path: Path, broken: str) -> None:
    """Alarmed in the status and, urgently, in the store; mended, it is quiet again."""
    gateway = f"hc-{broken}"
    box = Box(tmp_path, gateway, embedded.broker.port)
    text = box.site.read_text()
    with box.running() as status:
        assert status["alarms"] == []
    if broken == "site":
        box.site.write_text(text.replace("[[uplink]]", "[[uplink]"))
    elif broken == "profile":
        (box.profiles / "acme" / "station.toml").write_text("[profile]\n")
    else:
        box.site.unlink()
    with box.running() as status:
        assert (status["gw"], status["alarms"]) == (gateway, ["site_file_broken"])
        wait_until(lambda: "site_file_broken" in events_of(embedded, gateway), WAIT_S, "the event in the store")
    assert "site_file_broken" in box.daemon.tail()
    box.site.write_text(text)
    station.write_station(box.profiles)
    with box.running() as status:
        assert status["alarms"] == []
    assert events_of(embedded, gateway).count("site_file_broken") == 1


def test_a_torn_last_good_file_is_compiled_anew(embedded: Centre, tmp_path: Path) -> None:
    """A power cut while it was written: the files are good, so nothing is wrong."""
    box = Box(tmp_path, "hc-torn", embedded.broker.port)
    with box.running():
        pass
    whole = box.kept().read_bytes()
    box.kept().write_bytes(whole[: len(whole) // 2])
    with box.running() as status:
        assert status["alarms"] == []
    assert box.kept().read_bytes() == whole


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("[[uplink.server]]\n", '[[uplink.server]]\nusername = "a"\npassword_file = "/none"\n', "secret_unreadable"),
        ('/spool"', '/site.toml"', "run_folder_unusable"),
    ],
)
def test_what_a_file_names_and_is_not_there_starts_nothing(tmp_path: Path, old: str, new: str, code: str) -> None:
    """Exit 2 with the next step, before anything was opened."""
    box = Box(tmp_path, "hc-1", free_port())
    box.site.write_text(box.site.read_text().replace(old, new))
    status, said = box.refused()
    assert status == 2
    assert code in said
    assert words.next_step(code, "en") in said
    assert {path.name for path in tmp_path.iterdir()} == {"site.toml", "profiles", box.kept().name}


def test_a_path_too_long_for_a_socket_costs_the_socket_only(embedded: Centre, tmp_path: Path) -> None:
    """`gateway status` has nobody to ask; everything else works, and the store is told."""
    box = Box(tmp_path, "hc-long-path", embedded.broker.port)
    box.site.write_text(box.site.read_text().replace('/spool"', f'/{"x" * 120}"'))
    box.daemon.start()
    try:
        told = ["restart", "control_socket_failed"]
        wait_until(lambda: set(told) <= set(events_of(embedded, "hc-long-path")), WAIT_S, "the events in the store")
        box.daemon.stop()
    finally:
        box.daemon.kill()


def test_a_spool_in_use_is_left_alone(embedded: Centre, tmp_path: Path) -> None:
    """Exit 4 with the pid that has it; the one that runs goes on, its socket too."""
    box = Box(tmp_path, "hc-twice", embedded.broker.port)
    with box.running():
        code, said = box.refused()
        assert (code, f"pid={box.daemon.pid}" in said) == (4, True)
        assert box.status()["alarms"] == []


# --- what is not there yet --------------------------------------------------------------------------------------------


def test_a_broker_that_is_down_is_waited_for(tmp_path: Path) -> None:
    """Gateway and worker stay up; the gateway keeps what it has; all is stored when the broker comes."""
    broker = EmbeddedBroker(tmp_path)
    box = Box(tmp_path, "hc-early", broker.port)
    (tmp_path / "ioc.toml").write_text(cabinet.ioc_text(broker.port, tmp_path))
    ingest = Command(tmp_path, "ingest", "gateway", "ioc", "ingest", str(tmp_path / "ioc.toml"))
    ingest.start()
    try:
        with box.running() as status:
            assert not status["online"]
            wait_until(lambda: "interrupted code=connection_lost" in ingest.tail(), WAIT_S, "a try of the worker")
            assert box.daemon.alive()
            assert ingest.alive()
            broker.start()
            centre = Centre(broker, ingest, tmp_path)
            wait_until(lambda: "restart" in events_of(centre, "hc-early"), WAIT_S, "the event in the store")
        ingest.stop()
    finally:
        ingest.kill()
        broker.kill()


@pytest.mark.server
def test_a_database_that_is_down_is_waited_for(tmp_path: Path) -> None:
    """The worker stays up without a connection, so that no receipt is given; all is stored when it comes."""
    broker, database = EmbeddedBroker(tmp_path), Influxd(tmp_path)
    broker.start()
    with database:
        database.create_database("city")
    box = Box(tmp_path, "hc-late", broker.port)
    store = f'url = "{database.url}"\ndatabase = "city"'
    (tmp_path / "ioc.toml").write_text(cabinet.ioc_text(broker.port, tmp_path, store))
    ingest = Command(tmp_path, "ingest", "gateway", "ioc", "ingest", str(tmp_path / "ioc.toml"))
    ingest.start()
    try:
        with box.running():
            wait_until(lambda: "interrupted code=store_busy" in ingest.tail(), WAIT_S, "a try of the worker")
            wait_until(lambda: bool(box.status()["pending"]), WAIT_S, "a batch")
            assert ingest.alive()
            database.start()
            stored = "SELECT seq FROM gw_batch WHERE gateway = 'hc-late'"
            wait_until(lambda: bool(database.query("city", stored)), WAIT_S, "the batch in the database")
        ingest.stop()
    finally:
        ingest.kill()
        broker.kill()
        database.kill()
