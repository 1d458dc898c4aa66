"""What bad input gets, by whom it is sent: a file's author, a device, a peer, a broker or database that is not there.

Daemon, ingest and broker are processes; what they answer is read where people and peers read it: exit status, log,
control socket, receipts, dead letters, the store.
"""

import asyncio
import subprocess
import sys
import zlib
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from gateway.model import Batch, Origin
from gateway.text import words
from gateway.wire import batch as batches
from gateway.wire.topic import Topics
from tests.integration.test_chain import EmbeddedBroker
from tests.support import cabinet, station
from tests.support.cabinet import WAIT_S, Cabinet, Story
from tests.support.chain import Command, now_ms, wait_until
from tests.support.ioc import make_batch, numbered
from tests.support.peer import Peer
from tests.support.servers import Influxd, Mosquitto, free_port
from tests.unit.ioc.test_deadletter import letters_in

pytestmark = pytest.mark.timeout(90)


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One run of a cabinet full of nonsense."""
    folder = tmp_path_factory.mktemp("cabinet")
    broker = EmbeddedBroker(folder)
    broker.start()
    run = Cabinet(folder, broker.port)
    try:
        yield asyncio.run(run.live())
    finally:
        run.kill()
        broker.kill()


LOST = [f"{bus}-{fault}" for bus, faults in (("rtu", cabinet.RTU), ("tcp", cabinet.TCP)) for fault in faults]
CODES = {"late": {"no_reply"}, "exception-2": {"refused"}, "exception-4": {"refused"}}  # else bad_reply first
LOSES_STEP = {"tcp-garbage", "tcp-truncated"}  # the connection goes with the answer, maybe before its row is made
BAD_REPLY = {"bad_reply", "no_reply"}  # while a late answer is still owed, the same question is not asked


@pytest.mark.parametrize("device", [name for name in LOST if not name.endswith("nonsense")])
def test_a_bad_answer_costs_its_field_and_no_other(story: Story, device: str) -> None:
    """Each stored row is whole but for that field, which is null with a code; the device is not called down."""
    rows, expected = story.rows(device), CODES.get(device.partition("-")[2], BAD_REPLY)
    assert rows
    assert {name: row.get(name) for row in rows for name in ("temperature", "pressure")} == {
        "temperature": station.GOOD["temperature"],
        "pressure": station.GOOD["pressure"],
    }
    assert all("frequency" not in row for row in rows)
    assert {row["qc"] for row in rows} <= {f"frequency:{code}" for code in expected}
    first = "bad_reply" if expected == BAD_REPLY else min(expected)
    assert f"frequency:{first}" in {row["qc"] for row in rows} or device in LOSES_STEP
    assert [code for code, _ in story.events(device)] == (["field_refused"] if device.endswith("exception-2") else [])


@pytest.mark.parametrize("device", [name for name in LOST if name.endswith("nonsense")])
def test_a_value_that_cannot_be_true_is_null(story: Story, device: str) -> None:
    """No number, and a number out of range: null each with its code, the rest of the row kept."""
    rows = story.rows(device)
    assert rows
    assert {(row["frequency"], row["qc"]) for row in rows} == {
        (50.0, "temperature:out_of_range,pressure:not_a_number"),
    }
    assert all("temperature" not in row and "pressure" not in row for row in rows)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("wrong-crc", "bad_reply"),
        ("wrong-function", "bad_reply"),
        ("wrong-count", "bad_reply"),
        ("foreign", "bad_reply"),
        ("garbage", "bad_reply"),
        ("truncated", "bad_reply"),
        ("late", "no_reply"),
        ("exception-2", "exception_2"),
        ("exception-4", "exception_4"),
    ],
)
def test_each_failure_is_counted(story: Story, fault: str, cause: str) -> None:
    """By device and cause, on the control socket."""
    buses = ["rtu"] if fault == "wrong-crc" else ["rtu", "tcp"]
    for bus in buses:
        assert story.counted("read_failures", device=f"{bus}-{fault}", cause=cause) >= 1
        assert story.counted("values_null", device=f"{bus}-{fault}") >= cabinet.ROWS or fault == "late"


def test_values_that_cannot_be_true_are_counted(story: Story) -> None:
    """By device and code."""
    for device in ("rtu-nonsense", "tcp-nonsense"):
        for code in ("out_of_range", "not_a_number"):
            assert story.counted("values_null", device=device, code=code) >= cabinet.ROWS


@pytest.mark.parametrize("device", ["rtu-good", "tcp-good", "near-1"])
def test_the_neighbours_are_not_affected(story: Story, device: str) -> None:
    """No failure, no missed poll, every row whole and right, though others of its bus answer nonsense."""
    rows = story.rows(device)
    assert len(rows) >= cabinet.ROWS
    assert all(row == station.GOOD for row in rows)
    assert story.counted("read_failures", device=device) == 0
    assert story.counted("polls_missed", device=device, cause="busy") == 0
    assert story.events(device) == []


def test_what_people_are_shown_is_what_is_sent(story: Story) -> None:
    """The control socket's newest row: null and why, where the stored row has a code."""
    (shown,) = [row for row in story.shown if row["device"] == "rtu-nonsense"]
    assert shown["values"] == {"temperature": None, "pressure": None, "frequency": 50.0}
    assert shown["quality"] == {"temperature": "out_of_range", "pressure": "not_a_number"}


def test_a_stream_with_garbage_keeps_its_good_frames(story: Story) -> None:
    """A broken frame, half a frame and noise stand before each good one: every stored value is the good one's."""
    rows = story.rows("wind-1")
    assert len(rows) >= cabinet.ROWS
    assert all(row == {"wind_direction": 229.0, "wind_speed": 2.74} for row in rows)
    assert story.counted("read_failures", device="wind-1", cause="bad_reply") >= cabinet.ROWS
    assert story.events("wind-1") == []


def test_a_silent_device_is_told_and_told_again(story: Story) -> None:
    """Down with its cause, then up; its neighbours say nothing."""
    assert story.events("mute-1") == [("device_down", "no_reply"), ("device_up", "")]


@pytest.mark.parametrize(("bus", "cause"), [("far", "cannot be reached"), ("near", "cannot be opened")])
def test_a_bus_that_is_gone_is_told_and_no_device_is_blamed(story: Story, bus: str, cause: str) -> None:
    """Down with its cause, then up: an endpoint that went away, a port that was not there at the start."""
    (down, why), up = story.events(bus)
    assert (down, up) == ("bus_down", ("bus_up", ""))
    assert cause in str(why)
    assert story.events(f"{bus}-1") == []
    assert story.rows(f"{bus}-1")


def test_the_status_names_the_bus_and_not_its_devices(story: Story) -> None:
    """While it is away."""
    assert (story.while_away["buses_down"], story.while_away["devices_down"]) == (["near"], [])


def test_a_bus_full_of_nonsense_is_not_down(story: Story) -> None:
    """A converter that hangs up, a stream that loses step: opened again without a word."""
    assert story.events("rs485-1") == story.events("tcp-1") == []


# --- messages ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Centre:
    """A real broker and a worker in a process of its own."""

    broker: Mosquitto | EmbeddedBroker
    ingest: Command
    folder: Path

    def dead_letters(self) -> list[dict[str, object]]:
        """Kept so far."""
        return letters_in(self.folder / "dead")


@contextmanager
def centre_in(folder: Path, broker: Mosquitto | EmbeddedBroker, root: str = "city") -> Iterator[Centre]:
    """The worker is ended by SIGTERM and must have lived until then."""
    folder.mkdir(exist_ok=True)
    (folder / "ioc.toml").write_text(f'root = "{root}"\n' + cabinet.ioc_text(broker.port, folder))
    ingest = Command(folder, "ingest", "gateway", "ioc", "ingest", str(folder / "ioc.toml"))
    ingest.start()
    try:
        wait_until((folder / "store.db").exists, WAIT_S, "the worker")
        yield Centre(broker, ingest, folder)
        assert ingest.alive(), ingest.tail()
        ingest.stop()
    finally:
        ingest.kill()


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """One worker for all messages: what one test sends must not harm the next."""
    folder = tmp_path_factory.mktemp("centre")
    with Mosquitto(folder) as broker, centre_in(folder, broker) as made:
        yield made


def batch(gateway: str, seq: int) -> Batch:
    """A good one."""
    return make_batch(seq, gateway=gateway, t0=now_ms() // 1000 * 1000 + seq * 5000)


def header(of: Batch, **changed: object) -> bytes:
    """The message of a batch with a changed header."""
    line, _, body = batches.encode(of).partition(b"\n")
    return orjson.dumps(orjson.loads(line) | changed) + b"\n" + body


def body(gateway: str, content: bytes, enc: str = "none", n: int = 2) -> bytes:
    """The message of a batch with this body, its crc right."""
    good = batch(gateway, 1)
    return batches.encode(numbered(good.id, n, enc, content, good.stamp, urgent=False, origin=None))


def relayed(gateway: str) -> bytes:
    """The message of a batch that claims to pass on another's."""
    return batches.encode(make_batch(1, gateway=gateway, origin=Origin("hc-0009", "k3v9x2", 1, 1, 0)))


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "why", "message"),
    [
        ("a-field", "schema", lambda gw: header(batch(gw, 1), n="two")),
        ("rows", "schema", lambda gw: body(gw, batch(gw, 1).body, batch(gw, 1).enc, n=1)),
        ("a-bit", "crc", lambda gw: header(batch(gw, 1), crc=1)),
        ("torn", "crc", lambda gw: batches.encode(batch(gw, 1))[:-5]),
        ("long", "limit", lambda gw: batches.encode(batch(gw, 1)) + b" " * 100_000),
        ("newer", "version", lambda gw: header(batch(gw, 1), v=2)),
        ("another", "gateway", lambda _: batches.encode(batch("hc-0002", 1))),
        ("relay", "gateway", relayed),
        ("bomb", "limit", lambda gw: body(gw, zlib.compress(bytes(50 << 20)), "zlib")),
        ("half-zlib", "schema", lambda gw: body(gw, zlib.compress(b"{}" * 500)[:-4], "zlib")),
        ("deep", "schema", lambda gw: body(gw, b"[" * 60_000)),
        ("deep-object", "schema", lambda gw: body(gw, b'{"a":' * 12_000)),
        ("no-json", "schema", lambda gw: body(gw, b"\x00\xff\xfe")),
        ("a-huge-number", "schema", lambda gw: body(gw, b'{"g":[[' + b"9" * 60_000 + b"]]}")),
    ],
)
def test_what_cannot_be_accepted_is_refused_by_name(
    centre: Centre, name: str, why: str, message: Callable[[str], bytes]
) -> None:
    """A receipt to the sender says why; it is never called stored; the next good one is."""
    gateway = f"hc-{name}"
    topics = Topics("city", gateway)
    with Peer(centre.broker.port, gateway) as peer:
        answers = peer.answers(gateway)
        peer.publish(topics.data, message(gateway))
        assert next(answers) == (1, why)
        peer.publish(topics.data, batches.encode(batch(gateway, 2)))
        assert next(answers) == (2, "stored")
    assert {p.fields["seq"] for p in stored_by(centre, "gw_batch", gateway)} == {2.0}


@pytest.mark.server
def test_nobody_can_have_anothers_batch_refused(centre: Centre) -> None:
    """A batch in another's name goes back to the topic it came on; the other hears nothing."""
    with Peer(centre.broker.port, "thief") as peer:
        answers = peer.answers("hc-thief")
        peer.publish(Topics("city", "hc-thief").data, batches.encode(batch("hc-victim", 1)))
        assert next(answers) == (1, "gateway")
        assert {receipt["gw"] for receipt in peer.receipts} == {"hc-thief"}


@pytest.mark.server
def test_ten_megabytes_stop_nothing(centre: Centre) -> None:
    """The broker is told what a worker takes; nothing of it is stored, the next batch is."""
    gateway = "hc-heavy"
    topics = Topics("city", gateway)
    with Peer(centre.broker.port, gateway) as peer:
        answers = peer.answers(gateway)
        peer.publish(topics.data, batches.encode(batch(gateway, 1)) + bytes(10 << 20))
        peer.publish(topics.status, b"[" * (10 << 20))
        peer.publish(topics.data, batches.encode(batch(gateway, 2)))
        assert next(answers) == (2, "stored")
    assert {p.fields["seq"] for p in stored_by(centre, "gw_batch", gateway)} == {2.0}


UNREADABLE = {
    "not a header": ("up/data", b"garbage"),
    "no names": ("up/data", b'{"v":1}\nbody'),
    "nothing": ("up/data", b""),
    "deep header": ("up/data", b"[" * 900 + b"\n"),
    "status": ("up/status", b"\xff\x00garbage"),
    "half a status": ("up/status", b'{"v":1,"online":true}'),
    "catalog": ("up/catalog", b'{"v":1,"devices":' + b"[" * 5000),
    "outcome": ("up/outcome", b"{}"),
}


@pytest.mark.server
def test_what_nobody_can_be_answered_for_is_kept_and_counted(tmp_path: Path) -> None:
    """A dead letter each, and a count; retained garbage greets every new worker, and stops none."""
    with Mosquitto(tmp_path) as broker, Peer(broker.port, root="dead") as peer:
        with centre_in(tmp_path / "first", broker, "dead") as first:
            for rest, payload in UNREADABLE.values():
                peer.publish(f"dead/hc-0001/{rest}", payload, retain=rest != "up/data")
            peer.publish("dead/HC 1/up/data", b"garbage")
            peer.publish("dead/hc-0001/up/data", batches.encode(batch("hc-0001", 1)))
            assert next(peer.answers("hc-0001")) == (1, "stored")
            letters = first.dead_letters()
        assert Counter(str(letter["code"]) for letter in letters) == {"unreadable": 4, "document": 4, "topic": 1}
        payloads = {b64decode(str(letter["content"])) for letter in letters}
        assert payloads == {payload for _, payload in UNREADABLE.values()}
        for code, times in (("unreadable", 4), ("document", 4), ("topic", 1)):
            assert f"counted name=ingest_unreadable labels={{'code': '{code}'}} value={times}" in first.ingest.tail()
        with centre_in(tmp_path / "second", broker, "dead") as second:
            wait_until(lambda: len(second.dead_letters()) >= 3, WAIT_S, "the retained garbage")
            peer.publish("dead/hc-0001/up/data", batches.encode(batch("hc-0001", 2)))
            assert next(peer.answers("hc-0001")) == (2, "stored")


def stored_by(centre: Centre, measurement: str, gateway: str) -> list[cabinet.Stored]:
    """The points of one measurement and gateway."""
    points = cabinet.read_store(centre.folder / "store.db")
    return [p for p in points if p.measurement == measurement and p.tags["gateway"] == gateway]


# --- files ------------------------------------------------------------------------------------------------------------


class Box:
    """A gateway's files and its daemon."""

    def __init__(self, folder: Path, gateway: str, broker_port: int) -> None:
        self.folder, self.site, self.profiles = folder, folder / "site.toml", folder / "profiles"
        folder.mkdir(exist_ok=True)
        station.write_station(self.profiles)
        self.site.write_text(cabinet.site_head(folder, broker_port).replace("hc-0001", gateway))
        self.arguments = ("gateway", "run", str(self.site), "--profiles", str(self.profiles))
        self.daemon = Command(folder, "gateway", *self.arguments)
        self._socket = SocketClient(folder / "spool" / "control.sock")

    def status(self) -> dict[str, object]:
        """What it says of itself; nothing while it does not answer."""
        try:
            answer = asyncio.run(first(self._socket, "status"))
        except GatewayError:
            return {}
        assert isinstance(answer, dict)
        return answer

    @contextmanager
    def running(self) -> Iterator[dict[str, object]]:
        """Its status once it answers; it ends well, with all it has received."""
        self.daemon.start()
        try:
            wait_until(lambda: bool(self.status()), WAIT_S, "the daemon")
            yield self.status()
            wait_until(lambda: self.status().get("pending") == 0, WAIT_S, "all to be stored")
            self.daemon.stop()
        finally:
            self.daemon.kill()

    def refused(self) -> tuple[int, str]:
        """It does not start: exit status and what it says."""
        done = subprocess.run(
            [sys.executable, "-m", *self.arguments], capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    def kept(self) -> Path:
        """The last good site."""
        return self.site.with_name(".site.toml.last-good.json")


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


def events_of(centre: Centre, gateway: str) -> list[str]:
    """Codes of the stored events of a gateway."""
    return [p.tags["code"] for p in stored_by(centre, "gw_event", gateway)]


def test_a_broken_first_file_starts_nothing(tmp_path: Path) -> None:
    """Exit 2; every problem of file and profiles at once, each with its place and what to do; no spool, no socket."""
    box = Box(tmp_path, "hc-1", free_port())
    box.site.write_text(box.site.read_text().replace("100 MB", "100") + "colour = 1\n[[bus]]\nname = 'B'\n")
    (box.profiles / "acme" / "station.toml").write_text(station.PROFILE.replace("u16", "u17"))
    code, said = box.refused()
    assert code == 2
    for place, what in (
        (f"{box.site}:8: spool.quota", "bad_size"),
        (f"{box.site}:13: uplink[0].server[0].colour", "unknown_key"),
        (f"{box.site}:15: bus[0].name", "bad_id"),
        (f"{box.profiles}/acme/station.toml:15: fields.frequency.type", "not_one_of"),
    ):
        (line,) = [line for line in said.splitlines() if line.startswith(f"{place}: {what}: ")]
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
    assert events_of(embedded, gateway).count("site_file_broken") == 1
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
        ('/spool"', f'/{"x" * 120}"', "run_folder_unusable"),
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
            wait_until(lambda: bool(box.status()["pending"]), WAIT_S, "a batch")
            wait_until(lambda: "interrupted code=connection_lost" in ingest.tail(), WAIT_S, "a try of the worker")
            assert box.daemon.alive()
            assert ingest.alive()
            broker.start()
        assert "restart" in events_of(Centre(broker, ingest, tmp_path), "hc-early")
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
        assert database.query("city", "SELECT seq FROM gw_batch WHERE gateway = 'hc-late'")
        ingest.stop()
    finally:
        ingest.kill()
        broker.kill()
        database.kill()
