"""The flood example of docs/how-to/flood.md, as real processes: levels rise and fall, alarms are in the database."""

import re
import subprocess
import sys
from pathlib import Path

import orjson

from gateway.app.demo_site import ioc_text
from tests.support.cabinet import read_store
from tests.support.chain import Command, wait_until
from tests.support.servers import Mosquitto, free_port

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "flood.md"
EXPECTED = [
    ("alarm_on", "bd1", 1.1),
    ("alarm_on", "bd2", 1.6),
    ("alarm_on", "bd3", 2.05),
    ("alarm_off", "bd3", 1.55),
    ("alarm_off", "bd1", 0.65),
    ("alarm_off", "bd2", 0.65),
]


class Flood:
    """Simulators, gateway and ingest of the page's files, on ports of our own."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._folder = folder
        site, signals = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        site = site.replace("127.0.0.1:1883", f"127.0.0.1:{broker_port}").replace("15020", str(free_port()))
        site = site.replace('every = "10s"', 'every = "2s"')
        (folder / "site.toml").write_text(site)
        (folder / "simulated.toml").write_text(site + signals)
        ioc = folder / "ioc.toml"
        ioc.write_text(ioc_text(folder, broker_port, f'url = "sqlite:{folder / "store.db"}"'))
        simulated, self.control = str(folder / "simulated.toml"), folder / "sim.sock"
        self.simulators = Command(folder, "sims", "simulators", simulated, "--control", str(self.control))
        self.gateway = Command(folder, "gateway", "gateway", "run", str(folder / "site.toml"))
        self.ingest = Command(folder, "ingest", "gateway", "ioc", "ingest", str(ioc), "--name", "ingest-1")

    def set_level(self, level: float) -> None:
        """What the sensor says, before it is corrected."""
        arguments = [sys.executable, "-m", "simulators.ctl", str(self.control), "set", "level-1.level", str(level)]
        subprocess.run(arguments, check=True, timeout=30)

    def events(self) -> list[tuple[int, str, list[object]]]:
        """(ns UTC, code, detail) of the level sensor's alarms and fast polling in the database, by time."""
        points = read_store(self._folder / "store.db")
        mine = [p for p in points if p.measurement == "gw_event" and p.tags["code"].startswith(("alarm", "fast"))]
        found = [(p.time_ns, p.tags["code"], orjson.loads(str(p.fields["detail"]))) for p in mine]
        return sorted(found, key=lambda event: event[0])

    def levels(self) -> list[tuple[int, float]]:
        """(ns UTC, level) as stored."""
        points = read_store(self._folder / "store.db")
        return [(p.time_ns, float(str(p.fields["level"]))) for p in points if p.measurement == "water_level"]

    def wait_for(self, count: int) -> None:
        """Until so many events are in the database."""
        wait_until(lambda: len(self.events()) >= count, 30, f"{count} events")


def test_levels_rise_and_fall(tmp_path: Path) -> None:
    """Each alarm is in the database with its level, the value over the datum, and the time of that very reading."""
    broker = Mosquitto(tmp_path)
    broker.start()
    flood = Flood(tmp_path, broker.port)
    try:
        flood.simulators.start()
        wait_until(flood.control.exists, 20, "the simulators")
        flood.set_level(0.5)
        flood.ingest.start()
        flood.gateway.start()
        wait_until(lambda: len(flood.levels()) > 1, 30, "levels in the database")
        for level, count in [(1.45, 3), (1.95, 4), (2.4, 5), (1.9, 6), (1.0, 8)]:
            flood.set_level(level)
            flood.wait_for(count)
        last_ms = flood.events()[-1][0] // 1_000_000
        wait_until(lambda: any(at // 1_000_000 >= last_ms for at, _ in flood.levels()), 30, "its row")
    except AssertionError as failure:
        logs = "\n".join(one.tail() for one in (flood.simulators, flood.gateway, flood.ingest))
        raise AssertionError(f"{failure}\n{flood.events()}\n{logs}") from failure
    finally:
        for one in (flood.gateway, flood.ingest, flood.simulators):
            one.kill()
        broker.kill()
    found = flood.events()
    stored = {at // 1_000_000: level for at, level in flood.levels()}
    alarms = [(at, code, detail) for at, code, detail in found if code.startswith("alarm") and detail[2] == "above"]
    assert [(code, detail[1], detail[3]) for _, code, detail in alarms] == EXPECTED
    assert all(stored[at // 1_000_000] == detail[3] for at, _, detail in alarms)
    assert "fast_on" in {code for _, code, _ in found}
