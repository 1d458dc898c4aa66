"""gateway.config.buses: devices on their buses, in groups, and what does not fit together."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway import sources, toml_file
from gateway.config.buses import compile_buses
from gateway.config.findings import Findings
from gateway.config.gateway import GatewayConfig, SimulatorConfig
from gateway.errors import Problem
from gateway.profile.load import load
from gateway.profile.profile import Line, ModbusSource, Writable
from gateway.site import Bus, Serve
from tests.support.written import BUS, SITE, write

LIBRARY = load([sources.shipped()])
PROFILES = LIBRARY.profiles
HOST = '[[bus]]\nname = "tcp-1"\nhost = "10.0.0.7"\n'


def device(name: str, profile: str, *lines: str, bus: str = "rs485-1") -> str:
    """A [[device]]."""
    head = f'[[device]]\nname = "{name}"\nbus = "{bus}"\nprofile = "{profile}"\n'
    return head + "".join(f"{line}\n" for line in lines)


def compiled(
    folder: Path, text: str, model: type[GatewayConfig] = GatewayConfig
) -> tuple[tuple[Bus, ...], list[Problem], list[Problem]]:
    """Buses, problems, notes."""
    read = toml_file.read_located(write(folder / "gateway.toml", SITE + text), model)
    findings = Findings(read.places)
    buses = compile_buses(read.value, PROFILES, findings, LIBRARY.variants)
    return buses, findings.problems, findings.notes


def bus(folder: Path, text: str) -> Bus:
    """The one bus of a file without problems."""
    (one,), problems, _ = compiled(folder, text)
    assert problems == []
    return one


def test_fields_of_one_period_are_a_group(tmp_path: Path) -> None:
    """Normal fields every 10 s, slow ones every minute; the wire names them so."""
    meter = bus(tmp_path, BUS + device("meter-1", "eastron/sdm630@1")).devices[0]
    assert [polled.period_ms for polled in meter.polled] == [10_000, 60_000]
    normal, slow = meter.polled
    assert normal.group.device == "meter-1"
    assert normal.group.kind == "energy_meter"
    assert normal.group.profile == "eastron/sdm630@1"
    assert normal.group.fields == tuple(field.name for field in normal.fields)
    assert set(normal.group.letters) == {"f"}
    assert "energy_import" in slow.group.fields
    assert sorted(normal.group.fields + slow.group.fields) == sorted(f.name for f in meter.profile.reported)


def test_every_of_a_device_and_of_a_field(tmp_path: Path) -> None:
    """The field's word beats the device's, the device's beats the class."""
    lines = ('every = { normal = "1s" }', 'fields.frequency.every = "200ms"', 'fields.energy_import.every = "1s"')
    meter = bus(tmp_path, BUS + device("meter-1", "eastron/sdm630@1", *lines)).devices[0]
    periods = {name: polled.period_ms for polled in meter.polled for name in polled.group.fields}
    assert periods["voltage_l1"] == 1_000
    assert periods["frequency"] == 200
    assert periods["energy_import"] == 1_000
    assert periods["energy_export"] == 60_000
    assert len(meter.polled) == 3


def test_transports(tmp_path: Path) -> None:
    """A port is RTU, or a stream when its device sends by itself; a host is TCP, or RTU behind a converter."""
    text = (
        BUS
        + device("air-1", "xy/md02@1")
        + HOST
        + device("air-2", "xy/md02@1", bus="tcp-1")
        + HOST.replace("tcp-1", "tcp-2").replace('10.0.0.7"', '10.0.0.8:4196"\nframing = "rtu"\nlink = "pymodbus"')
        + BUS.replace("rs485-1", "wind").replace("usb-1", "usb-2")
        + device("wind-1", "gill/windsonic@1", bus="wind")
        + HOST.replace("tcp-1", "tcp-3").replace("10.0.0.7", "10.0.0.9:4001")
        + device("wind-2", "gill/windsonic-polled@1", bus="tcp-3")
    )
    buses, problems, _ = compiled(tmp_path, text)
    assert problems == []
    assert [(b.transport, b.driver, b.endpoint) for b in buses] == [
        ("rtu", "own", "/dev/serial/by-id/usb-1"),
        ("tcp", "own", "10.0.0.7:502"),
        ("rtu_over_tcp", "pymodbus", "10.0.0.8:4196"),
        ("stream", "own", "/dev/serial/by-id/usb-2"),
        ("talk_over_tcp", "own", "10.0.0.9:4001"),
    ]
    assert [(b.serial, b.talks) for b in buses[-2:]] == [(True, False), (False, True)]
    assert buses[3].devices[0].unit_id == 0


def test_serial_devices_that_are_asked_share_a_line(tmp_path: Path) -> None:
    """By their addresses: the profile's, or that of the site."""
    text = BUS + device("sky-1", "vaisala/wxt520@1") + device("sky-2", "vaisala/wxt520@1", 'address = "1"')
    line = bus(tmp_path, text)
    assert (line.transport, line.serial, line.line) == ("talk", True, Line(19200))
    assert [(one.name, one.unit_id, one.address) for one in line.devices] == [("sky-1", 0, "0"), ("sky-2", 0, "1")]
    assert bus(tmp_path, BUS + device("ups-1", "megatec/q1@1")).devices[0].address == ""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (device("a", "vaisala/wxt520@1") + device("b", "vaisala/wxt520@1"), [("doubled_address", "device[1].address")]),
        (
            device("a", "lufft/ws-umb@1") + device("b", "lufft/ws-umb@1", 'address = "28673"'),
            [("doubled_address", "device[1].address")],
        ),
        (device("a", "lufft/ws-umb@1", 'address = "0x17001"'), [("bad_value", "device[0].address")]),
        (device("a", "megatec/q1@1", 'address = "1"'), [("bad_value", "device[0].address")]),
        (device("a", "xy/md02@1", 'address = "1"'), [("bad_value", "device[0].address")]),
        (
            device("a", "megatec/q1@1") + device("b", "winsen/mh-z19@1"),
            [("lines_differ", "bus[0]"), ("not_alone", "bus[0]")],
        ),
        (
            device("a", "vaisala/wxt520@1") + device("b", "gill/windsonic@1"),
            [("lines_differ", "bus[0]"), ("not_alone", "bus[0]")],
        ),
        (
            device("a", "vaisala/wxt520@1") + device("b", "xy/md02@1"),
            [("lines_differ", "bus[0]"), ("not_alone", "bus[0]")],
        ),
        (device("a", "vaisala/wxt520@1", "unit_id = 1"), [("bad_value", "device[0].unit_id")]),
    ],
)
def test_who_cannot_be_on_such_a_line(tmp_path: Path, text: str, found: list[tuple[str, str]]) -> None:
    """Two of one address, an address that does not fit or means nothing, who does not say its own."""
    problems = compiled(tmp_path, BUS + text)[1]
    assert sorted((one.code, one.path) for one in problems) == found


def test_a_serial_device_is_not_overheard(tmp_path: Path) -> None:
    """Whoever listens to a bus understands Modbus alone."""
    for profile in ("vaisala/wxt520@1", "gill/windsonic@1"):
        problems = compiled(tmp_path, BUS + 'mode = "listen"\n' + device("a", profile))[1]
        assert [(one.code, one.path) for one in problems] == [("wrong_bus", "bus[0].mode")]


def test_framings_that_pymodbus_alone_speaks(tmp_path: Path) -> None:
    """ASCII on a port, also with 7 bits, and UDP; the simulators do not serve them yet, and say so."""
    ascii_ = BUS + 'framing = "ascii"\nlink = "pymodbus"\nline = "9600 7E1"\n' + device("air-1", "xy/md02@1")
    udp = HOST + 'framing = "udp"\nlink = "pymodbus"\n' + device("air-2", "xy/md02@1", bus="tcp-1")
    buses, problems, _ = compiled(tmp_path, ascii_ + udp)
    assert problems == []
    assert [(b.transport, b.serial, b.packets) for b in buses] == [("ascii", True, False), ("udp", False, True)]
    problems = compiled(tmp_path, ascii_ + udp, SimulatorConfig)[1]
    assert [(one.code, one.path) for one in problems] == [
        ("not_built_yet", "bus[0].framing"),
        ("not_built_yet", "bus[1].framing"),
    ]


def test_a_line_comes_from_the_file_or_from_the_devices(tmp_path: Path) -> None:
    """As they come from their makers, unless the site says otherwise."""
    assert bus(tmp_path, BUS + device("air-1", "xy/md02@1")).line == Line(9600, 8, "N", 1)
    written = BUS + 'line = "19200 8E1"\n' + device("air-1", "xy/md02@1")
    assert bus(tmp_path, written).line == Line(19200, 8, "E", 1)


def test_a_port_may_need_its_direction_switched(tmp_path: Path) -> None:
    """Off unless the file says so."""
    assert not bus(tmp_path, BUS + device("air-1", "xy/md02@1")).rs485
    assert bus(tmp_path, BUS + "rs485 = true\n" + device("air-1", "xy/md02@1")).rs485


def test_a_sleeping_device_needs_a_link_that_can_wake_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no frame go over our own RTU links only; elsewhere its silence would look like a fault."""
    profile = PROFILES["xy/md02@1"]
    assert isinstance(profile.source, ModbusSource)
    sleeper = replace(profile, source=replace(profile.source, wake=b"\0"))
    monkeypatch.setitem(PROFILES, "xy/md02@1", sleeper)
    for text, problems in (
        (BUS + device("a", "xy/md02@1"), []),
        (BUS + 'link = "pymodbus"\n' + device("a", "xy/md02@1"), ["wrong_bus"]),
        (HOST + device("a", "xy/md02@1", bus="tcp-1"), ["wrong_bus"]),
        (HOST + 'framing = "rtu"\n' + device("a", "xy/md02@1", bus="tcp-1"), []),
    ):
        assert [problem.code for problem in compiled(tmp_path, text)[1]] == problems


def test_a_unit_id_comes_from_the_file_or_from_the_profile(tmp_path: Path) -> None:
    """The maker's default, unless the site says otherwise."""
    text = BUS + device("w", "ecowitt/wn90lp@1") + device("a", "xy/md02@1", "unit_id = 7")
    assert [d.unit_id for d in bus(tmp_path, text).devices] == [144, 7]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (BUS + device("a", "xy/md02@1", bus="rs485-2"), [("unknown_bus", "device[0].bus")]),
        (BUS + device("a", "xy/md03@1"), [("unknown_profile", "device[0].profile")]),
        (BUS + device("a", "xy/md02@2"), [("unknown_profile", "device[0].profile")]),
        (
            BUS + device("a", "xy/md03@1", bus="x"),
            [("unknown_bus", "device[0].bus"), ("unknown_profile", "device[0].profile")],
        ),
        (BUS + device("a", "xy/md02@1") + device("b", "xy/md02@1"), [("doubled_unit_id", "device[1].unit_id")]),
        (
            BUS + device("a", "eastron/sdm630@1") + device("b", "xy/md02@1", "unit_id = 1"),
            [("doubled_unit_id", "device[1].unit_id")],
        ),
        (BUS + BUS.replace("rs485-1", "rs485-2"), [("doubled_endpoint", "bus[1]")]),
        (HOST + HOST.replace("tcp-1", "tcp-2").replace("7", "7:502"), [("doubled_endpoint", "bus[1]")]),
        (BUS + 'line = "9600 7E1"\n' + device("a", "xy/md02@1"), [("bad_line", "bus[0].line")]),
        (HOST.replace("7", "7:0"), [("bad_host", "bus[0].host")]),
        (BUS + device("a", "gill/windsonic@1") + device("b", "xy/md02@1"), [("not_alone", "bus[0]")]),
        (HOST + device("a", "gill/windsonic@1", bus="tcp-1"), [("wrong_bus", "bus[0].host")]),
        (HOST + device("a", "generic/iec62056-21@1", bus="tcp-1"), [("wrong_bus", "bus[0].host")]),
        (HOST + device("a", "victron/mppt@1", bus="tcp-1"), [("wrong_bus", "bus[0].host")]),
        (
            HOST + 'framing = "rtu"\n' + device("a", "gill/windsonic-polled@1", bus="tcp-1"),
            [("wrong_bus", "bus[0].framing")],
        ),
        (BUS + 'link = "pymodbus"\n' + device("a", "gill/windsonic@1"), [("wrong_bus", "bus[0].link")]),
        (BUS + device("a", "gill/windsonic@1", "unit_id = 3"), [("bad_value", "device[0].unit_id")]),
        (BUS + device("a", "xy/md02@1", 'every = "49ms"'), [("impossible_period", "device[0].every")]),
        (BUS + device("a", "xy/md02@1", 'every = "0s"'), [("impossible_period", "device[0].every")]),
        (BUS + device("a", "xy/md02@1", 'every = "2d"'), [("impossible_period", "device[0].every")]),
        (BUS + device("a", "gill/windsonic@1", 'every = "500ms"'), [("impossible_period", "device[0].every")]),
        (
            BUS + device("a", "xy/md02@1", 'fields.humidity.every = "2d"'),
            [("impossible_period", "device[0].fields.humidity.every")],
        ),
        (
            BUS + device("a", "xy/md02@1", 'fields.humidty.every = "1s"'),
            [("unknown_field", "device[0].fields.humidty")],
        ),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, text: str, problems: list[tuple[str, str]]) -> None:
    """One mistake, one problem, where it stands."""
    assert [(p.code, p.path) for p in compiled(tmp_path, text)[1]] == problems


def test_the_nearest_profile_is_named(tmp_path: Path) -> None:
    """A slip of the pen is answered with what was meant."""
    _, (problem,), _ = compiled(tmp_path, BUS + device("a", "eastron/sdm63@1"))
    assert problem.detail == "eastron/sdm63@1; the nearest is eastron/sdm630@1"


def test_devices_that_come_with_different_lines(tmp_path: Path) -> None:
    """Nobody guesses which of two speeds a bus runs at; written, it is fine."""
    slow = (device("a", "xy/md02@1") + device("w", "ecowitt/wn90lp@1")).replace("xy/md02", "slow/one")
    md02 = PROFILES["xy/md02@1"]
    assert isinstance(md02.source, ModbusSource)
    profiles = {**PROFILES, "slow/one@1": replace(md02, source=replace(md02.source, line=Line(4800)))}
    for line, problems in (("", ["lines_differ"]), ('line = "4800 8N1"\n', [])):
        read = toml_file.read_located(write(tmp_path / "g.toml", SITE + BUS + line + slow), GatewayConfig)
        findings = Findings(read.places)
        compile_buses(read.value, profiles, findings)
        assert [p.code for p in findings.problems] == problems


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (BUS.replace("/dev/serial/by-id/usb-1", "/dev/ttyUSB0"), ("unstable_port", "bus[0].port")),
        (BUS + device("a", "xy/md02@1", "unit_id = 254"), ("unit_id_unusual", "device[0].unit_id")),
    ],
)
def test_notes_stop_nothing(tmp_path: Path, text: str, note: tuple[str, str]) -> None:
    """What is unusual is said, and done."""
    _, problems, notes = compiled(tmp_path, text)
    assert (problems, [(n.code, n.path) for n in notes]) == ([], [note])


def test_a_simulator_may_take_any_free_port(tmp_path: Path) -> None:
    """Port 0, as often as wanted."""
    text = HOST.replace("7", "7:0") + HOST.replace("7", "7:0").replace("tcp-1", "tcp-2")
    buses, problems, _ = compiled(tmp_path, text, SimulatorConfig)
    assert problems == []
    assert [b.endpoint for b in buses] == ["10.0.0.7:0", "10.0.0.7:0"]


WRITABLE = {
    "acme/dosing@1": replace(
        PROFILES["xy/md02@1"],
        ref="acme/dosing@1",
        fields=(
            *PROFILES["xy/md02@1"].fields,
            replace(
                PROFILES["xy/md02@1"].fields[0],
                name="set_point",
                address=40,
                parameter=True,
                write=Writable(0.0, 50.0),
            ),
        ),
    )
}


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> tuple[tuple[Bus, ...], list[Problem]]:
    """A device with a setting that its profile lets be written."""
    monkeypatch.setattr("tests.unit.config.test_buses.PROFILES", WRITABLE)
    buses, problems, _ = compiled(folder, BUS + device("dosing-1", "acme/dosing@1", *lines))
    return buses, problems


def test_a_field_is_writable_where_the_site_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing by default; a setting can be named though it is not polled."""
    (one,), problems = written(tmp_path, monkeypatch)
    assert (one.devices[0].writable, problems) == ((), [])
    (one,), problems = written(tmp_path, monkeypatch, "fields.set_point.writable = true")
    assert (one.devices[0].writable, problems) == (("set_point",), [])
    assert "set_point" not in {name for polled in one.devices[0].polled for name in polled.group.fields}
    (one,), problems = written(tmp_path, monkeypatch, "fields.set_point.writable = false")
    assert (one.devices[0].writable, problems) == ((), [])


def test_a_site_cannot_allow_what_the_profile_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a setting has no period."""
    lines = ("fields.temperature.writable = true", 'fields.set_point.every = "1s"')
    _, problems = written(tmp_path, monkeypatch, *lines)
    assert sorted((problem.code, problem.path) for problem in problems) == [
        ("bad_value", "device[0].fields.set_point.every"),
        ("not_writable", "device[0].fields.temperature.writable"),
    ]


def test_what_is_read_for_others_stands_behind_them(tmp_path: Path) -> None:
    """A scale register is read with its group and not reported; a setting is not read at all."""
    (polled,) = bus(tmp_path, BUS + device("level-1", "qdy/qdy30a@1")).devices[0].polled
    assert [field.name for field in polled.fields] == ["level", "places"]
    assert (polled.group.fields, polled.group.letters) == (("level",), "f")


def test_a_variant_is_a_profile_of_its_own(tmp_path: Path) -> None:
    """The device says which; it has the ref of the profile all the same."""
    text = (
        BUS + device("level-1", "qdy/qdy30a@1", 'variant = "millimetres"') + device("air-1", "xy/md02@1", "unit_id = 2")
    )
    level, air = bus(tmp_path, text).devices
    assert (level.variant, level.profile.ref, level.profile.fields[0].tens) == ("millimetres", "qdy/qdy30a@1", 3)
    assert (air.variant, air.profile) == ("", PROFILES["xy/md02@1"])
    assert level.polled[0].fields[0].tens == 3


@pytest.mark.parametrize(
    ("model", "variant", "hint"),
    [("qdy/qdy30a@1", "millimeters", "; the nearest is millimetres"), ("gill/windsonic@1", "fine", "")],
)
def test_an_unknown_variant_is_named(tmp_path: Path, model: str, variant: str, hint: str) -> None:
    """Nothing is read as something else instead."""
    _, (problem,), _ = compiled(tmp_path, BUS + device("a", model, f'variant = "{variant}"'))
    assert (problem.code, problem.path) == ("unknown_variant", "device[0].variant")
    assert problem.detail == f"{model} has no variant {variant}{hint}"


def test_a_hidden_field_is_no_field_of_a_site(tmp_path: Path) -> None:
    """It cannot be given a period: it is read with those that need it."""
    _, problems, _ = compiled(tmp_path, BUS + device("a", "qdy/qdy30a@1", 'fields.places.every = "1s"'))
    assert [(p.code, p.path) for p in problems] == [("unknown_field", "device[0].fields.places")]


def test_a_bus_is_listened_to_or_served(tmp_path: Path) -> None:
    """Who may read it through us stands in the site; without a word nobody may, and we are the one who asks."""
    plain = bus(tmp_path, BUS + device("air-1", "xy/md02@1"))
    assert (plain.mode, plain.serve) == ("poll", None)
    assert bus(tmp_path, BUS + 'mode = "listen"\n' + device("air-1", "xy/md02@1")).mode == "listen"
    for tcp, host in ((":1502", "127.0.0.1"), ("0.0.0.0:1502", "0.0.0.0"), ("[::1]:1502", "::1")):
        served = bus(tmp_path, BUS + f'serve = {{ tcp = "{tcp}", read_only = true }}\n' + device("air-1", "xy/md02@1"))
        assert served.serve == Serve(host, 1502)


def test_only_a_bus_of_modbus_is_served_and_each_at_its_own_port(tmp_path: Path) -> None:
    """A sensor that sends by itself has no registers; two buses on one port would hide each other."""
    serve = 'serve = { tcp = ":1502" }\n'
    _, problems, _ = compiled(tmp_path, BUS + serve + device("wind-1", "gill/windsonic@1"))
    assert [(one.code, one.path) for one in problems] == [("wrong_bus", "bus[0].serve")]
    _, problems, _ = compiled(tmp_path, BUS + serve + HOST + serve)
    assert [(one.code, one.path) for one in problems] == [("doubled_endpoint", "bus[1].serve.tcp")]


METER = "generic/dlt645-2007@1"


def test_devices_with_a_protocol_share_a_line(tmp_path: Path) -> None:
    """By their own addresses; who has none, or is asked as whoever is there, is alone."""
    text = BUS + device("m-1", METER, 'address = "123456789012"') + device("m-2", METER, 'address = "123456789013"')
    line = bus(tmp_path, text)
    assert (line.transport, line.line) == ("talk", Line(2400, 8, "E"))
    assert [(one.unit_id, one.address) for one in line.devices] == [(0, "123456789012"), (0, "123456789013")]
    assert bus(tmp_path, BUS + device("m-1", METER)).devices[0].address == "AAAAAAAAAAAA"
    assert bus(tmp_path, BUS + device("sun", "victron/mppt@1")).transport == "talk"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (device("a", METER) + device("b", METER, 'address = "123456789012"'), [("not_alone", "bus[0]")]),
        (
            device("a", METER, 'address = "123456789012"') + device("b", METER, 'address = "123456789012"'),
            [("doubled_address", "device[1].address")],
        ),
        (device("a", METER, 'address = "12"'), [("bad_value", "device[0].address")]),
        (device("a", METER, "unit_id = 1"), [("bad_value", "device[0].unit_id")]),
        (device("a", "victron/mppt@1", 'address = "1"'), [("bad_value", "device[0].address")]),
        (
            device("a", METER, 'address = "123456789012"') + device("b", "generic/iec62056-21@1", 'address = "7"'),
            [("lines_differ", "bus[0]"), ("not_alone", "bus[0]")],
        ),
        (
            device("a", "vaisala/wxt520@1") + device("b", "generic/iec62056-21@1", 'address = "7"'),
            [("lines_differ", "bus[0]"), ("not_alone", "bus[0]")],
        ),
    ],
)
def test_who_cannot_share_by_a_protocol(tmp_path: Path, text: str, found: list[tuple[str, str]]) -> None:
    """Another protocol, no address of its own, one that is taken or does not fit."""
    problems = compiled(tmp_path, BUS + text)[1]
    assert sorted((one.code, one.path) for one in problems) == found


def test_a_sunspec_device_is_not_listened_to(tmp_path: Path) -> None:
    """Where its values stand is found by asking, and this bus never asks."""
    _, problems, _ = compiled(tmp_path, BUS + 'mode = "listen"\n' + device("sun-1", "sunspec/inverter@1"))
    assert [(one.code, one.path) for one in problems] == [("wrong_bus", "bus[0].mode")]


def test_models_of_one_sunspec_device_share_its_unit_id(tmp_path: Path) -> None:
    """An inverter with the meters behind it; but not one model twice, nor with any other device."""
    sun, first = device("sun-1", "sunspec/inverter@1"), device("meter-1", "sunspec/meter@1")
    second = device("meter-2", "sunspec/meter@1", 'variant = "second"')
    assert [one.unit_id for one in bus(tmp_path, BUS + sun + first + second).devices] == [1, 1, 1]
    for other in (first.replace("meter-1", "meter-3"), device("air-1", "xy/md02@1")):
        _, problems, _ = compiled(tmp_path, BUS + sun + first + other)
        assert [(one.code, one.path) for one in problems] == [("doubled_unit_id", "device[2].unit_id")]


def test_the_header_of_a_sunspec_model_is_read_with_each_group(tmp_path: Path) -> None:
    """Behind its fields, and not reported."""
    (sun,) = bus(tmp_path, BUS + device("sun-1", "sunspec/inverter@1")).devices
    assert len(sun.polled) == 2
    for polled in sun.polled:
        hidden = {field.name for field in polled.fields} - set(polled.group.fields)
        assert {"sunspec_model", "sunspec_length"} <= hidden


def test_a_simulator_serves_what_is_asked_behind_a_host(tmp_path: Path) -> None:
    """As a gateway reads it there; what sends by itself needs a port for both."""
    text = HOST.replace("10.0.0.7", "127.0.0.1:0") + device("a", "gill/windsonic-polled@1", bus="tcp-1")
    found, problems, _ = compiled(tmp_path, text, SimulatorConfig)
    assert ([one.transport for one in found], problems) == (["talk_over_tcp"], [])
    _, problems, _ = compiled(tmp_path, text.replace("windsonic-polled", "windsonic"), SimulatorConfig)
    assert [(one.code, one.path) for one in problems] == [("wrong_bus", "bus[0].host")]
