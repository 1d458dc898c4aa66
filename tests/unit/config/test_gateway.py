"""gateway.config.gateway: what may stand in a site file, value by value."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from gateway import toml_file
from gateway.config import gateway
from gateway.config.gateway import GatewayConfig, SimulatorConfig
from gateway.errors import Invalid
from tests.support.written import BUS, DEVICE, SITE, found, write

FULL = SITE + BUS + DEVICE


def refused(folder: Path, text: str, model: type[GatewayConfig] = GatewayConfig) -> list[tuple[str, str]]:
    """(code, path) of what is wrong with this file."""
    with pytest.raises(Invalid) as caught:
        toml_file.read(write(folder / "gateway.toml", text), model)
    return found(caught.value)


def test_defaults(tmp_path: Path) -> None:
    """What a box does when nobody says otherwise."""
    config = toml_file.read(write(tmp_path / "a.toml", SITE), GatewayConfig)
    assert (config.gateway.root, config.clock.trust) == ("city", "kernel")
    assert config.gateway.commands == ()
    assert (config.spool.path, config.spool.quota, config.spool.archive_days) == ("/var/lib/gateway/spool", "4 GB", 60)
    assert (config.uplink[0].network, config.uplink[0].settle) == ("wired", "receipt")


def test_every_is_for_all_classes_or_for_some(tmp_path: Path) -> None:
    """A text is for every class of fields, a table for the classes it names."""
    text = FULL + 'every = "5s"\n' + DEVICE.replace("probe-1", "probe-2") + 'every = { slow = "1h" }\n'
    first, second = toml_file.read(write(tmp_path / "a.toml", text), GatewayConfig).device
    assert (first.every.fast, first.every.normal, first.every.slow) == ("5s", "5s", "5s")
    assert (second.every.fast, second.every.normal, second.every.slow) == (None, None, "1h")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("config_version = 1", "config_version = 2", ("not_one_of", "config_version")),
        ("config_version = 1\n", "", ("missing_key", "config_version")),
        ('id = "hc-0001"', 'id = "HC 1"', ("bad_id", "gateway.id")),
        ('id = "hc-0001"', 'id = "hc-0001"\nroot = "a/b"', ("bad_id", "gateway.root")),
        ('id = "hc-0001"', 'id = "hc-0001"\ncommands = ["recall"]', ("not_one_of", "gateway.commands[0]")),
        ("[[uplink]]", '[clock]\ntrust = "gps"\n[[uplink]]', ("not_one_of", "clock.trust")),
        ("[[uplink]]", '[spool]\nquota = "4GB"\n[[uplink]]', ("bad_size", "spool.quota")),
        ("[[uplink]]", '[spool]\nquota = "15 MB"\n[[uplink]]', ("out_of_bounds", "spool.quota")),
        ("[[uplink]]", "[signal]\n[[uplink]]", ("unknown_key", "signal")),
        ("[[uplink]]", "[fault]\n[[uplink]]", ("unknown_key", "fault")),
        ('name = "ioc"', 'name = "ioc"\nbudget_mb = 0', ("out_of_bounds", "uplink[0].budget_mb")),
        ('name = "ioc"', 'name = "ioc"\nsettle = "never"', ("not_one_of", "uplink[0].settle")),
        ('name = "ioc"', 'name = "ioc"\nformat = "xml"', ("not_one_of", "uplink[0].format")),
        ('name = "ioc"', 'name = "ioc"\nformat = "json"', ("bad_value", "uplink[0]")),
        ('name = "ioc"', 'name = "ioc"\ntopic = "a/{device}"', ("bad_value", "uplink[0]")),
        ('name = "ioc"', 'name = "ioc"\ntopic = "a/#"', ("bad_topic", "uplink[0].topic")),
        ('name = "ioc"', 'name = "ioc"\nnetwork = "4g"', ("not_one_of", "uplink[0].network")),
        ("mqtt://127.0.0.1:1883", "http://127.0.0.1", ("bad_url", "uplink[0].server[0].url")),
        ("mqtt://127.0.0.1:1883", "mqtt://127.0.0.1:99999", ("bad_url", "uplink[0].server[0].url")),
        ("mqtt://127.0.0.1:1883", "mqtt://a/topic", ("bad_url", "uplink[0].server[0].url")),
        ("mqtt://127.0.0.1:1883", "mqtt://a..b", ("bad_url", "uplink[0].server[0].url")),
        ("mqtt://127.0.0.1:1883", "mqtt://u:p@a", ("secret_in_file", "uplink[0].server[0].url")),
        ("[[uplink.server]]", '[[uplink.server]]\npassword = "x"', ("secret_in_file", "uplink[0].server[0]")),
        ("[[uplink.server]]", '[[uplink.server]]\npassword_file = "/x"', ("bad_value", "uplink[0].server[0]")),
        ("[[uplink.server]]", '[[uplink.server]]\nca = "/x"', ("bad_value", "uplink[0].server[0]")),
        ("[[uplink.server]]", '[[uplink.server]]\nkey = "/x"', ("bad_value", "uplink[0].server[0]")),
        ('port = "/dev/serial/by-id/usb-1"', "", ("bad_value", "bus[0]")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "/a"\nhost = "b"', ("bad_value", "bus[0]")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "ttyUSB0"', ("bad_port", "bus[0].port")),
        ('port = "/dev/serial/by-id/usb-1"', 'port = "by-id/../../x"', ("bad_port", "bus[0].port")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a b"', ("bad_host", "bus[0].host")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a..b:502"', ("bad_host", "bus[0].host")),
        ('port = "/dev/serial/by-id/usb-1"', f'host = "{"a" * 64}.vn"', ("bad_host", "bus[0].host")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "me@a"', ("bad_host", "bus[0].host")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "http://a"', ("bad_host", "bus[0].host")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a:70000"', ("bad_host", "bus[0].host")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a"\nframing = "tls"', ("not_built_yet", "bus[0]")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a"\nframing = "udp"', ("bad_value", "bus[0]")),
        (
            'port = "/dev/serial/by-id/usb-1"',
            'host = "a"\nframing = "ascii"\nlink = "pymodbus"',
            ("bad_value", "bus[0]"),
        ),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a"\nline = "9600 8N1"', ("bad_value", "bus[0]")),
        ('name = "rs485-1"', 'name = "rs485-1"\nmode = "hear"', ("not_one_of", "bus[0].mode")),
        ('name = "rs485-1"', 'name = "rs485-1"\nmode = "listen"\nlink = "pymodbus"', ("bad_value", "bus[0]")),
        ('name = "rs485-1"', 'name = "rs485-1"\nmode = "listen"\nserve = { tcp = ":1502" }', ("bad_value", "bus[0]")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a"\nmode = "listen"', ("bad_value", "bus[0]")),
        ('name = "rs485-1"', 'name = "rs485-1"\nserve = {}', ("missing_key", "bus[0].serve.tcp")),
        ('name = "rs485-1"', 'name = "rs485-1"\nserve = { tcp = "1502" }', ("bad_host", "bus[0].serve.tcp")),
        ('name = "rs485-1"', 'name = "rs485-1"\nserve = { tcp = ":0" }', ("bad_host", "bus[0].serve.tcp")),
        ('name = "rs485-1"', 'name = "rs485-1"\nserve = { tcp = ":70000" }', ("bad_host", "bus[0].serve.tcp")),
        ('name = "rs485-1"', 'name = "rs485-1"\nserve = { tcp = "a b:1502" }', ("bad_host", "bus[0].serve.tcp")),
        (
            'name = "rs485-1"',
            'name = "rs485-1"\nserve = { tcp = ":1502", read_only = false }',
            ("not_built_yet", "bus[0].serve"),
        ),
        ('name = "rs485-1"', 'name = "rs485-1"\nlink = "mine"', ("not_one_of", "bus[0].link")),
        ('name = "rs485-1"', 'name = "rs485-1"\nline = "9600"', ("bad_line", "bus[0].line")),
        ('name = "rs485-1"', 'name = "rs485-1"\nrs485 = true\nlink = "pymodbus"', ("bad_value", "bus[0]")),
        ('port = "/dev/serial/by-id/usb-1"', 'host = "a"\nrs485 = true', ("bad_value", "bus[0]")),
        ("unit_id = 1", "unit_id = 0", ("out_of_bounds", "device[0].unit_id")),
        ("unit_id = 1", "unit_id = 256", ("out_of_bounds", "device[0].unit_id")),
        ("unit_id = 1", "unit = 1", ("unknown_key", "device[0].unit")),
        (
            "unit_id = 1",
            'derived = { a = { formula = "1 +", unit = "m", decimals = 1 } }',
            ("bad_formula", "device[0].derived.a.formula"),
        ),
        (
            "unit_id = 1",
            'derived = { a_min = { formula = "a", unit = "m", decimals = 1 } }',
            ("reserved_name", "device[0].derived.a_min"),
        ),
        ("unit_id = 1", 'every = "x"', ("bad_duration", "device[0].every")),
        ("unit_id = 1", 'fields.a.report = "1m"', ("wrong_type", "device[0].fields.a.report")),
        ("unit_id = 1", "fields.a.report = {}", ("bad_value", "device[0].fields.a.report")),
        ("unit_id = 1", "fields.a.report = { change = 0.1 }", ("bad_value", "device[0].fields.a.report")),
        (
            "unit_id = 1",
            'report = { every = "1m", change = 0.0, at_least = "1h" }',
            ("out_of_bounds", "device[0].report.change"),
        ),
        ("unit_id = 1", 'fields.a.writable = "yes"', ("wrong_type", "device[0].fields.a.writable")),
        ("unit_id = 1", "fields.a.alarm = 1", ("wrong_type", "device[0].fields.a.alarm")),
        ("unit_id = 1", "fields.a.correct = { slope = 0.0 }", ("bad_value", "device[0].fields.a.correct")),
        ("unit_id = 1", 'fields.a.correct = { on = "2026-11-24" }', ("wrong_type", "device[0].fields.a.correct.on")),
        (
            "unit_id = 1",
            "fields.a.correct = { on = 2026-11-24, due = 2026-11-24 }",
            ("bad_value", "device[0].fields.a.correct"),
        ),
        ("acme/probe@1", "acme/probe", ("bad_value", "device[0].profile")),
    ],
)
def test_wrong_values(tmp_path: Path, old: str, new: str, problem: tuple[str, str]) -> None:
    """Each is named with its path and its code; what is planned is never accepted and ignored."""
    assert old in FULL
    assert problem in refused(tmp_path, FULL.replace(old, new))


def test_an_uplink_needs_a_server(tmp_path: Path) -> None:
    """A way out leads somewhere."""
    assert refused(tmp_path, SITE.replace("[[uplink.server]]\n", "")) == [
        ("missing_key", "uplink[0].server"),
        ("unknown_key", "uplink[0].url"),
    ]


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (gateway.size_bytes, "4 GB", 4_000_000_000),
        (gateway.size_bytes, "200 MB", 200_000_000),
        (gateway.serial_port, "by-id/usb-FTDI", "/dev/serial/by-id/usb-FTDI"),
        (gateway.serial_port, "by-path/x", "/dev/serial/by-path/x"),
        (gateway.serial_port, "/dev/ttyS0", "/dev/ttyS0"),
        (gateway.endpoint, "10.0.0.7", "10.0.0.7:502"),
        (gateway.endpoint, "meter.local:1502", "meter.local:1502"),
        (gateway.served, ":1502", "127.0.0.1:1502"),
        (gateway.served, "0.0.0.0:1502", "0.0.0.0:1502"),
        (gateway.served, "[::]:1502", "[::]:1502"),
        (gateway.endpoint, "[fe80::1]:502", "[fe80::1]:502"),
    ],
)
def test_small_things(parse: Callable[[str], object], text: str, value: object) -> None:
    """Sizes, ports and hosts as they are used."""
    assert parse(text) == value


@pytest.mark.parametrize("text", ["", "4 gb", "x GB", "-1 GB", "1.5 GB"])
def test_sizes_are_whole(text: str) -> None:
    """A number, a space, a unit."""
    with pytest.raises(PydanticCustomError):
        gateway.size_bytes(text)


def test_a_simulator_reads_signals_too(tmp_path: Path) -> None:
    """Quoted or nested, a signal is named device.field; what a gateway cannot do yet, it cannot."""
    text = FULL + '[signal]\n"probe-1.a" = { kind = "constant" }\n[signal.probe-1.b]\nkind = "ramp"\n'
    config = toml_file.read(write(tmp_path / "a.toml", text), SimulatorConfig)
    assert config.signal == {"probe-1.a": {"kind": "constant"}, "probe-1.b": {"kind": "ramp"}}
    assert refused(tmp_path, f"{FULL}[derived]\n", SimulatorConfig) == [("not_built_yet", "derived")]


def test_a_simulator_reads_faults_too(tmp_path: Path) -> None:
    """One table of a name or several, of a bus, a device, or a field of one, quoted or nested; and converters."""
    text = (
        FULL
        + '[fault.rs485-1]\nkind = "vanish"\n[[fault.probe-1]]\nkind = "silent"\n[[fault.probe-1]]\nkind = "torn"\n'
        '[fault."probe-1.a"]\nkind = "stuck"\n[fault.probe-2.b]\nkind = "jump"\n'
        '[converter.tcp-1]\nline = "9600 8N1"\nabsent = 11\n'
    )
    config = toml_file.read(write(tmp_path / "a.toml", text), SimulatorConfig)
    assert config.fault == {
        "rs485-1": ({"kind": "vanish"},),
        "probe-1": ({"kind": "silent"}, {"kind": "torn"}),
        "probe-1.a": ({"kind": "stuck"},),
        "probe-2.b": ({"kind": "jump"},),
    }
    assert config.converter["tcp-1"].model_dump() == {
        "line": "9600 8N1", "absent": 11, "timeout": "500ms", "shared": True,
    }  # fmt: skip


def test_a_signal_names_a_field(tmp_path: Path) -> None:
    """A device alone is no signal."""
    assert refused(tmp_path, f'{FULL}[signal]\nprobe-1 = "x"\n', SimulatorConfig)


def test_the_centres_clock_can_be_trusted(tmp_path: Path) -> None:
    """`trust = "ioc"` is built."""
    text = SITE.replace("[[uplink]]", '[clock]\ntrust = "ioc"\n[[uplink]]', 1)
    assert toml_file.read(write(tmp_path / "a.toml", text), GatewayConfig).clock.trust == "ioc"
