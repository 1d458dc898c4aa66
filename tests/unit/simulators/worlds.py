"""Small devices and sites for the simulators' tests."""

from collections.abc import Callable
from pathlib import Path

from gateway.model import Group
from gateway.profile.profile import Field, Line, ModbusSource, Profile, SerialSource
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.parse import Parse
from gateway.site import Bus, Device, Polled, Site, SpoolSettings
from simulators.moments import Alarm, boot_ns
from simulators.signals import Signal

VOLTAGE = Field("voltage", "voltage", "V", "f", 1, 0, 300, table=Table.INPUT, address=0, type="f32")
POWER = Field("power", "power_active", "W", "f", 1, table=Table.INPUT, address=4, type="i32", order="CDAB", tens=1)
ENERGY = Field(
    "energy", "energy_active", "kW.h", "f", 2, counter=True, table=Table.INPUT, address=8, type="u32", tens=2
)
SETTING = Field("setting", "index", "1", "f", 0, 0, 100, table=Table.HOLDING, address=2, type="u16")
FAR = Field("far", "index", "1", "f", 0, table=Table.INPUT, address=1000, type="u16")
METER = (VOLTAGE, POWER, ENERGY, SETTING, FAR)
RELAYS = tuple(Field(f"relay_{n + 1}", "relay", "1", "b", 0, table=Table.COIL, address=n, type="bit") for n in range(8))


def modbus_device(name: str, fields: tuple[Field, ...], unit_id: int = 1, max_registers: int = 10) -> Device:
    """A device that reports all its fields in one group."""
    source = ModbusSource(Line(), unit_id, max_registers=max_registers)
    return Device(name, Profile("acme/x@1", "energy_meter", (), "guess", fields, source), unit_id, polled(name, fields))


def stream_device(name: str = "wind-1", period_ms: int = 50) -> Device:
    """Writes a line of text a period: $direction,speed and CR LF."""
    fields = (
        Field("direction", "wind_direction", "deg", "f", 0, 0, 359, part="0"),
        Field("speed", "wind_speed", "m/s", "f", 2, 0, 60, part="1"),
    )
    framing = Framing("line", 64, start=b"$", end=b"\r\n")
    source = SerialSource(Line(115200), framing, Parse("split", content_from=1, content_until=-2), period_ms)
    return Device(name, Profile("acme/wind@1", "wind", (), "guess", fields, source), 0, polled(name, fields))


def polled(name: str, fields: tuple[Field, ...]) -> tuple[Polled, ...]:
    """One group of them all."""
    letters = "".join(field.letter for field in fields)
    return (Polled(Group(name, "energy_meter", "acme/x@1", tuple(f.name for f in fields), letters), fields, 1000),)


def bus(transport: str, endpoint: str, *devices: Device, baud: int = 9600, name: str = "bus-1") -> Bus:
    """One medium."""
    return Bus(name, transport, "own", endpoint, Line(baud), devices)


def site(*buses: Bus, folder: Path = Path("/nowhere")) -> Site:
    """One gateway."""
    return Site("hc-0001", "city", None, None, "system", SpoolSettings(str(folder), 1 << 30, 60), (), buses, ())


def constants(**values: float | bool | str) -> dict[str, Signal]:
    """Signals that never change."""
    return {name: (lambda _, value=value: value) for name, value in values.items()}  # type: ignore[misc]


async def idle(ms: int) -> None:
    """Real time: what is tested here is real time."""
    with Alarm() as alarm:
        await alarm.until(boot_ns() + ms * 1_000_000)


async def until(holds: Callable[[], bool]) -> None:
    """Poll; the test's own timeout is the limit."""
    while not holds():
        await idle(1)
