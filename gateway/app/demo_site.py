"""The demo's files: a site with every kind of bus, its centre, and the embedded broker, on loopback. Pure text."""

from collections.abc import Sequence
from pathlib import Path

GATEWAY = "hc-0001"
# Totals move slower than phases: groups of their own, each of which is one read and so has its own time.
SLOWER = {
    "meter-1": {
        "2s": (
            *("current_sum", "active_power", "apparent_power", "reactive_power", "power_factor", "phase_angle"),
            *("frequency", "energy_import", "energy_export", "reactive_energy_import", "reactive_energy_export"),
            *("power_demand", "power_demand_peak"),
        ),
        "5s": (
            *("voltage_l1_l2", "voltage_l2_l3", "voltage_l3_l1", "voltage_line_average", "current_neutral"),
            *("voltage_thd_l1", "voltage_thd_l2", "voltage_thd_l3"),
        ),
    },
}
DEVICES = (  # name, bus, unit_id, profile
    ("meter-1", "rs485-1", 1, "eastron/sdm630@1"),
    ("air-1", "rs485-1", 2, "xy/md02@1"),
    ("air-2", "rs485-1", 3, "xy/md02@1"),
    ("relay-1", "rs485-1", 4, "waveshare/relay8@1"),
    ("weather-1", "tcp-1", 144, "ecowitt/wn90lp@1"),
    ("meter-2", "tcp-2", 1, "eastron/sdm630@1"),
    ("wind-1", "wind-line", None, "gill/windsonic@1"),
    ("dust-1", "dust-line", None, "plantower/pms5003@1"),
)


def site_text(folder: Path, broker_port: int, tcp_ports: Sequence[int], *, link: str = "own") -> str:
    """gateway.toml: an RTU bus with four devices, two TCP devices, two serial streams; each second, but SLOWER."""
    buses = [
        _bus("rs485-1", f'port = "{folder}/rs485-1"', 'line = "38400 8N1"', f'link = "{link}"'),
        _bus("tcp-1", f'host = "127.0.0.1:{tcp_ports[0]}"', f'link = "{link}"'),
        _bus("tcp-2", f'host = "127.0.0.1:{tcp_ports[1]}"', f'link = "{link}"'),
        _bus("wind-line", f'port = "{folder}/wind-line"', 'line = "9600 8N1"'),
        _bus("dust-line", f'port = "{folder}/dust-line"', 'line = "9600 8N1"'),
    ]
    return "\n".join([_head(folder, broker_port), *buses, *(_device(*device) for device in DEVICES)])


def ioc_text(folder: Path, broker_port: int, store: str) -> str:
    """ioc.toml; `store` is the content of its [store] table."""
    return f"""config_version = 1
[broker]
url = "mqtt://127.0.0.1:{broker_port}"
[store]
{store}
[ingest]
dead_letters = "{folder}/dead"
"""


def broker_text(port: int) -> str:
    """Configuration of rumqttd: MQTT 5 on loopback only, packets of our size."""
    return f"""id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "loopback"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 1048576
max_inflight_count = 200
dynamic_filters = true
"""


def _head(folder: Path, broker_port: int) -> str:
    return f"""config_version = 1
[gateway]
id = "{GATEWAY}"
area = {{ scheme = "gso-2025", code = "20242", name = "Hải Châu" }}
location = {{ lat = 16.0678, lon = 108.2208, note = {{ vi = "Trụ 17, cống Lê Lợi", en = "Pole 17, Le Loi culvert" }} }}
[clock]
trust = "system"
[spool]
path = "{folder}/spool"
quota = "200 MB"
[[uplink]]
name = "ioc"
network = "wired"
[[uplink.server]]
url = "mqtt://127.0.0.1:{broker_port}"
"""


def _bus(name: str, *lines: str) -> str:
    return "\n".join(["[[bus]]", f'name = "{name}"', *lines, ""])


def _device(name: str, bus: str, unit_id: int | None, profile: str) -> str:
    unit = "" if unit_id is None else f"unit_id = {unit_id}\n"
    slower = "".join(
        f'[device.fields.{field}]\nevery = "{every}"\n'
        for every, fields in SLOWER.get(name, {}).items()
        for field in fields
    )
    return f'[[device]]\nname = "{name}"\nbus = "{bus}"\n{unit}profile = "{profile}"\nevery = "1s"\n{slower}'
