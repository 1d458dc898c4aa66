"""From a level that crosses a limit to its alarm in the database: the cabinet of docs/how-to/flood.md, several times.

Sensors and rain gauges are simulators, the rest is the real chain. Each level goes through three limits of the page,
one by one, then falls below all of them at once: alarms come alone and in threes. The time counts from the reply: an
alarm has the time of its reading. The proxy before influxd tells when a line was stored.
"""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gateway.app.demo_site import ioc_text
from tests.bench.latency import ALARM_MS, WARM_S, quantile_row, stored_events_ms
from tests.bench.proxy import proxied
from tests.bench.table import Budget, Row
from tests.bench.world import BROKER, READY_S, command
from tests.support.chain import wait_until
from tests.support.servers import Influxd, Mosquitto, free_port

CROSSED = Budget("alarm: limit crossed -> in InfluxDB, p99", "<= 150 ms")
BUDGETS = (CROSSED,)
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "flood.md"
CABINETS = 10
TURNS = 16  # of every cabinet: four tides
STEP_S = 0.27  # from one cabinet to the next: each has a new level every 2.7 s, and is polled every second
LEVELS = (1.45, 1.95, 2.4, 0.5)  # of the sensor: 0.35 above what is stored
ALARMS = (b"alarm_on", b"alarm_off")
ALARMS_LEAST = 200


def measure(folder: Path) -> Iterator[Row]:
    """One run."""
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder, settings=BROKER))
        influxd = stack.enter_context(Influxd(folder))
        influxd.create_database("city")
        seen = stack.enter_context(proxied(influxd.port))
        site, ioc, control = folder / "site.toml", folder / "ioc.toml", folder / "sim.sock"
        site.write_text(_site(folder, broker.port))
        ioc.write_text(ioc_text(folder, broker.port, f'url = "{seen.url}"\ndatabase = "city"'))
        command(stack, folder, "simulators", "simulators", str(site), "--control", str(control))
        wait_until(control.exists, READY_S, "the simulators")
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(control))
            _set(line, range(CABINETS), LEVELS[-1])
            ingest = command(stack, folder, "ingest", "gateway", "ioc", "ingest", str(ioc), "--name", "bench")
            gateway = command(stack, folder, "gateway", "gateway", "run", str(site))
            wait_until(lambda: len(seen.lines) > CABINETS, READY_S, "levels in the database")
            time.sleep(WARM_S)
            begin_ms = seen.lines[-1][0]
            for turn in range(TURNS):
                for cabinet in range(CABINETS):
                    _set(line, [cabinet], LEVELS[turn % len(LEVELS)])
                    time.sleep(STEP_S)
        assert gateway.alive(), gateway.tail()
        assert ingest.alive(), ingest.tail()
    taken = stored_events_ms(seen, ALARMS, begin_ms)
    assert len(taken) >= ALARMS_LEAST, f"only {len(taken)} alarms"
    yield quantile_row(CROSSED, taken, ALARM_MS)


def _site(folder: Path, broker_port: int) -> str:
    """The page's, with so many cabinets, polled every 2 s while nothing happens: a bench has no time."""
    text = str(re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[0])
    text = text.replace("127.0.0.1:1883", f"127.0.0.1:{broker_port}").replace('every = "10s"', 'every = "2s"')
    head, cabinet = text.replace('path = "spool"', f'path = "{folder}/spool"').split("[[bus]]")
    return head + "".join(f"[[bus]]{_cabinet(cabinet, number)}" for number in range(CABINETS))


def _cabinet(text: str, number: int) -> str:
    for name in ("drain", "level-1", "rain-1"):
        text = text.replace(f'"{name}"', f'"{name.removesuffix("-1")}-{number}"')
    return text.replace("15020", str(free_port()))


def _set(line: socket.socket, cabinets: range | list[int], level: float) -> None:
    for cabinet in cabinets:
        line.sendall(f"set level-{cabinet}.level {level}\n".encode())
        said = line.recv(4096)
        assert said == b"ok\n", said
