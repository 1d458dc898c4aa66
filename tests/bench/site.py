"""Files for the benches: a profile of so many registers with its vectors, and sites of devices that have it. Pure text.

Each field is one u16 in tenths. Their quantities take turns, so that the simulators let them move as such things do.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_reply, encode_request

GATEWAY = "bench-1"
QUANTITIES = (("voltage_l1", "V"), ("temperature", "Cel"), ("humidity", "%"), ("frequency", "Hz"))


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus of a bench site; its devices have the unit_ids from 1."""

    name: str
    where: str  # `host = "..."` or `port = "..."\nline = "..."`
    devices: int
    registers: int
    every: str


def write_site(folder: Path, broker_port: int, buses: Sequence[Bus]) -> Path:
    """gateway.toml and the profiles beside it; a device is named by its bus and unit_id."""
    profiles(folder).mkdir()
    for registers in {bus.registers for bus in buses}:
        _write_profile(profiles(folder), registers)
    path = folder / "site.toml"
    path.write_text("\n".join([_head(folder, broker_port), *(_bus(bus) for bus in buses)]))
    return path


def profiles(folder: Path) -> Path:
    """Where the profiles of a site stand."""
    return folder / "profiles"


def _write_profile(folder: Path, registers: int) -> None:
    vendor = folder / "bench"
    vendor.mkdir(parents=True, exist_ok=True)
    names = [f"f{at:03}" for at in range(registers)]
    fields = "\n".join(_field(name, at) for at, name in enumerate(names))
    (vendor / f"r{registers}.toml").write_text(f"""[profile]
id = "bench/r{registers}"
version = 1
kind = "bench{registers}"
title = {{ en = "Bench", vi = "Bench" }}
sources = ["this bench"]
confidence = "one source"
[modbus]
table = "holding"
timeout = "200ms"
[fields]
{fields}
""")
    (vendor / f"r{registers}.vectors.toml").write_text(_vector(names))


def _field(name: str, at: int) -> str:
    quantity, unit = QUANTITIES[at % len(QUANTITIES)]
    return f'{name} = {{ address = {at}, type = "u16", scale = 0.1, unit = "{unit}", quantity = "{quantity}" }}'


def _vector(names: Iterable[str]) -> str:
    words = {name: 500 + at for at, name in enumerate(names)}
    request = ReadRequest(Table.HOLDING, 0, len(words))
    asked = encode_rtu(Frame(1, encode_request(request)))
    answer = encode_rtu(Frame(1, encode_reply(request, b"".join(word.to_bytes(2, "big") for word in words.values()))))
    values = "\n".join(f"{name} = {word / 10}" for name, word in words.items())
    return f"""[[vector]]
about = "each register another word"
evidence = "constructed"
source = "the layout"
request = "{asked.hex(" ")}"
response = "{answer.hex(" ")}"
[vector.values]
{values}
"""


def _head(folder: Path, broker_port: int) -> str:
    return f"""config_version = 1
[gateway]
id = "{GATEWAY}"
[clock]
trust = "system"
[spool]
path = "{folder}/spool"
quota = "4 GB"
[[uplink]]
name = "ioc"
network = "wired"
[[uplink.server]]
url = "mqtt://127.0.0.1:{broker_port}"
"""


def _bus(bus: Bus) -> str:
    devices = (
        f"""[[device]]
name = "{bus.name}-{unit_id}"
bus = "{bus.name}"
unit_id = {unit_id}
profile = "bench/r{bus.registers}@1"
every = "{bus.every}"
"""
        for unit_id in range(1, bus.devices + 1)
    )
    return "\n".join([f'[[bus]]\nname = "{bus.name}"\n{bus.where}', *devices])
