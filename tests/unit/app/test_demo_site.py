"""gateway.app.demo_site: the files of the demo are good files."""

import tomllib
from pathlib import Path

import pytest

from gateway.app import demo_site
from gateway.config.compile import compile_simulator_file
from gateway.config.ioc import read_ioc
from tests.support.written import write


@pytest.mark.parametrize("link", ["own", "pymodbus"])
def test_the_site(tmp_path: Path, link: str) -> None:
    """Every bus and device of the lists, all in this folder or on loopback, at their periods, without a note."""
    text = demo_site.site_text(tmp_path, 1883, (1502, 1503), link=link)
    compiled = compile_simulator_file(write(tmp_path / "site.toml", text))
    site = compiled.site
    assert compiled.notes == ()
    assert site.gateway == demo_site.GATEWAY
    assert [bus.name for bus in site.buses] == ["rs485-1", "tcp-1", "tcp-2", "wind-line", "dust-line"]
    devices = {device.name: (bus.name, device) for bus in site.buses for device in bus.devices}
    assert {(name, bus) for name, (bus, _) in devices.items()} == {(name, bus) for name, bus, _, _ in demo_site.DEVICES}
    periods = {name: [polled.period_ms for polled in device.polled] for name, (_, device) in devices.items()}
    assert periods == {name: [1000] for name in periods} | {"meter-1": [1000, 2000, 5000]}
    assert all(bus.endpoint.startswith((f"{tmp_path}/", "127.0.0.1:")) for bus in site.buses)
    assert {bus.driver for bus in site.buses if bus.transport != "stream"} == {link}
    assert site.spool.path == f"{tmp_path}/spool"
    assert (site.uplinks[0].servers[0].host, site.uplinks[0].servers[0].port) == ("127.0.0.1", 1883)


def test_the_centre(tmp_path: Path) -> None:
    """The same broker, the store that was named."""
    text = demo_site.ioc_text(tmp_path, 1884, f'url = "sqlite:{tmp_path}/store.db"')
    settings = read_ioc(write(tmp_path / "ioc.toml", text))
    assert (settings.broker.host, settings.broker.port) == ("127.0.0.1", 1884)
    assert settings.store.url == f"sqlite:{tmp_path}/store.db"
    assert settings.dead_letters == f"{tmp_path}/dead"


def test_the_broker() -> None:
    """MQTT 5 on loopback only, and our largest message fits."""
    config = tomllib.loads(demo_site.broker_text(1885))
    (listener,) = config["v5"].values()
    assert listener["listen"] == "127.0.0.1:1885"
    assert listener["connections"]["max_payload_size"] > 64 * 1024
