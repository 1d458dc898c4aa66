"""simulators.twin: the same buses and devices, and nothing of it reaches the real centre."""

from pathlib import Path

from gateway.config.compile import compile_file, compile_simulator_file
from gateway.site import Site
from simulators.twin import simulated, twin
from tests.support.written import write

REAL = """# the box at the river
config_version = 1
[gateway]
id = "hai-chau-flood-warning-0001-abcd"
commands = ["write"]
[clock]
trust = "kernel"
[spool]
path = "/var/lib/gateway/spool"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtts://ioc.example:8883"
ca = "ca.pem"
[[uplink]]
name = "other"
format = "json"
settle = "puback"
[[uplink.server]]
url = "mqtts://other.example:8883"
[[bus]]
name = "rs485-1"
port = "by-id/usb-1"
rs485 = true
serve = { tcp = ":1502" }
[[bus]]
name = "heard"
port = "by-id/usb-2"
mode = "listen"
[[bus]]
name = "tcp-1"
host = "10.0.0.7"
[[device]]
name = "air-1"
bus = "rs485-1"
profile = "xy/md02@1"
variant = "hundredths"
unit_id = 4
[[device]]
name = "meter-2"
bus = "heard"
profile = "eastron/sdm630@1"
[[device]]
name = "meter-1"
bus = "tcp-1"
profile = "eastron/sdm630@1"
every = "2s"
"""


def devices(site: Site) -> list[object]:
    """All that is on its buses."""
    return [(bus.name, bus.devices) for bus in site.buses]


def test_it_has_the_devices_of_the_site(tmp_path: Path) -> None:
    """Name by name, with their periods and variants; each bus is here, on a link or on loopback."""
    real = compile_file(write(tmp_path / "gateway.toml", REAL)).site
    served = compile_simulator_file(write(tmp_path / "twin.simulated.toml", simulated(REAL, tmp_path))).site
    text = twin(REAL, tmp_path, {"tcp-1": "127.0.0.1:40001"})
    read = compile_file(write(tmp_path / "twin.toml", text)).site
    assert devices(real) == devices(served) == devices(read)
    assert [bus.endpoint for bus in served.buses] == [f"{tmp_path}/rs485-1", f"{tmp_path}/heard", "127.0.0.1:0"]
    assert [bus.endpoint for bus in read.buses] == [f"{tmp_path}/rs485-1", f"{tmp_path}/heard", "127.0.0.1:40001"]
    assert {(bus.mode, bus.rs485, bus.serve) for bus in read.buses} == {("poll", False, None)}


def test_nothing_of_it_reaches_the_real_centre(tmp_path: Path) -> None:
    """Simulated readings under a real name would be believed: another id, one uplink, to this machine, own spool."""
    read = compile_file(write(tmp_path / "twin.toml", twin(REAL, tmp_path, {"tcp-1": "127.0.0.1:40001"}))).site
    assert read.gateway == "twin-hai-chau-flood-warning-0001"
    assert [[(one.host, one.port) for one in uplink.servers] for uplink in read.uplinks] == [[("127.0.0.1", 1883)]]
    assert read.spool.path == str(tmp_path / "spool")
    assert read.commands == ()
    assert "example" not in twin(REAL, tmp_path, {})


def test_signals_stay_with_the_simulators(tmp_path: Path) -> None:
    """A gateway refuses them."""
    text = REAL + '[signal]\n"air-1.temperature" = { kind = "constant", value = 21.5 }\n'
    assert "[signal." in simulated(text, tmp_path)
    assert "[signal." not in twin(text, tmp_path, {"tcp-1": "127.0.0.1:40001"})
