"""`gateway.config.alarms`: what a site file says of limits and faster polling, and what it cannot mean."""

from pathlib import Path

import pytest

from gateway.config.compile import compile_file
from gateway.errors import Invalid
from gateway.site import Alarm, Fast, dumps, hurried, loads

HEAD = """config_version = 1
[gateway]
id = "hc-0001"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:1883"
[[bus]]
name = "drain"
host = "127.0.0.1"
[[device]]
name = "level-1"
bus = "drain"
profile = "qdy/qdy30a@1"
every = "10s"
"""


def compiled(tmp_path: Path, text: str) -> tuple[tuple[Alarm, ...], Fast | None]:
    """Of the one device; raises Invalid."""
    path = tmp_path / "gateway.toml"
    path.write_text(HEAD + text)
    site = compile_file(path).site
    assert loads(dumps(site)) == site
    (device,) = site.buses[0].devices
    return device.alarms, device.fast


def alarm(text: str) -> str:
    """One level of the field."""
    return f"[device.fields.level]\nalarm = [{{ {text} }}]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('level = "bd1", at = 1.0', Alarm("level", "bd1", "above", 1.0, 1.0)),
        ('level = "bd1", at = 1.0, clear = 0.9, for = "30s"', Alarm("level", "bd1", "above", 1.0, 0.9, 30_000)),
        ('level = "dry", at = 0.0, clear = 0.1, below = true', Alarm("level", "dry", "below", 0.0, 0.1)),
        (
            'level = "surge", rate = { per = "10m", at = 0.3, clear = 0.1 }',
            Alarm("level", "surge", "rise", 0.3, 0.1, per_ms=600_000),
        ),
        (
            'level = "ebb", rate = { per = "10m", at = 0.3 }, below = true',
            Alarm("level", "ebb", "fall", 0.3, 0.3, per_ms=600_000),
        ),
        (
            'level = "frozen", stuck = "6h", within = 0.01',
            Alarm("level", "frozen", "stuck", 21_600.0, 21_600.0, within=0.01),
        ),
    ],
)
def test_each_kind(tmp_path: Path, text: str, expected: Alarm) -> None:
    """As written, defaults filled in, and the same again behind the compiled site's JSON."""
    assert compiled(tmp_path, alarm(text)) == ((expected,), None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (alarm('level = "x"'), "bad_value"),
        (alarm('level = "x", at = 1.0, stuck = "6h"'), "bad_value"),
        (alarm('level = "x", at = 1.0, clear = 1.1'), "bad_value"),
        (alarm('level = "x", at = 1.0, clear = 0.9, below = true'), "bad_value"),
        (alarm('level = "x", stuck = "6h", for = "1s"'), "bad_value"),
        (alarm('level = "x", at = 1.0, within = 0.1'), "bad_value"),
        (alarm('level = "x", rate = { per = "10m", at = 0.3, clear = 0.4 }'), "bad_value"),
        (alarm('level = "x", rate = { per = "15s", at = 0.3 }'), "impossible_period"),
        (alarm('level = "x", at = 1.0, for = "8d"'), "out_of_bounds"),
        (alarm('level = "x", at = 1.0 }, { level = "x", at = 2.0'), "doubled_name"),
        (alarm('level = "x", at = 1.0, four = "1s"'), "unknown_key"),
        ('fast = { when = "level >", every = "1s" }', "bad_condition"),
        ('fast = { when = "levle > 1", every = "1s" }', "unknown_field"),
        ('fast = { when = "bd1", every = "1s" }', "unknown_field"),
        ('fast = { when = "level > 1", every = "10s" }', "impossible_period"),
        ('fast = { when = "level > 1", every = "1s", hold = "2d" }', "out_of_bounds"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, text: str, code: str) -> None:
    """A problem with its code, never a limit that does something else."""
    with pytest.raises(Invalid) as raised:
        compiled(tmp_path, text)
    assert [problem.code for problem in raised.value.problems] == [code]


def on_line(profile: str, fields: str, bus: str = 'port = "/dev/ttyUSB0"') -> str:
    """A site with one serial device."""
    head = HEAD.replace('host = "127.0.0.1"', bus).replace("qdy/qdy30a@1", profile)
    return head + f'fast = {{ when = "{fields}", every = "2s" }}\n'


def test_who_can_be_hurried(tmp_path: Path) -> None:
    """Whoever is asked, Modbus or not; who sends by itself, is listened to or handed in comes as it comes."""
    path = tmp_path / "gateway.toml"
    path.write_text(on_line("generic/aj-sr04m@1", "distance < 0.5"))
    (bus,) = compile_file(path).site.buses
    assert (bus.transport, hurried(bus.devices[0]).polled[0].period_ms) == ("talk", 2000)
    for text in (
        on_line("dfrobot/a02yyuw@1", "distance < 0.5"),
        on_line("qdy/qdy30a@1", "level > 0.5", 'port = "/dev/ttyUSB0"\nmode = "listen"'),
        on_line("qdy/qdy30a@1", "level > 0.5", 'mode = "push"'),
    ):
        path.write_text(text)
        with pytest.raises(Invalid) as raised:
            compile_file(path)
        assert [(one.code, one.path) for one in raised.value.problems] == [("not_hurried", "device[0].fast")]


DERIVED = """[device.derived.freeboard]
formula = "3 - level"
quantity = "distance"
unit = "m"
decimals = 3
"""


def test_what_is_computed_has_levels_too(tmp_path: Path) -> None:
    """Above, below, rate and stuck, judged by the period of its trigger; `fast` knows it and its levels."""
    levels = """alarm = [
    { level = "brim", at = 0.5, clear = 0.7, below = true },
    { level = "ebb", rate = { per = "10m", at = 0.3 } },
    { level = "frozen", stuck = "6h" },
]
"""
    for when, level, field in (("freeboard < 0.5", "", "freeboard"), ("brim", "brim", "")):
        alarms, fast = compiled(tmp_path, f'fast = {{ when = "{when}", every = "1s" }}\n' + DERIVED + levels)
        assert [(one.field, one.level, one.kind) for one in alarms] == [
            ("freeboard", "brim", "below"),
            ("freeboard", "ebb", "rise"),
            ("freeboard", "frozen", "stuck"),
        ]
        assert fast is not None
        assert (fast.level, fast.field) == (level, field)


@pytest.mark.parametrize(
    ("levels", "code", "place"),
    [
        ('{ level = "a", at = 1.0 }, { level = "a", at = 2.0 }', "doubled_name", "alarm[1].level"),
        ('{ level = "a", stuck = "10s" }', "impossible_period", "alarm[0].stuck"),
    ],
)
def test_levels_of_what_is_computed_are_checked(tmp_path: Path, levels: str, code: str, place: str) -> None:
    """As those of a field that is read, and told where they stand."""
    with pytest.raises(Invalid) as raised:
        compiled(tmp_path, DERIVED + f"alarm = [{levels}]\n")
    assert [(one.code, one.path) for one in raised.value.problems] == [(code, f"device[0].derived.freeboard.{place}")]


def test_conditions_of_fast(tmp_path: Path) -> None:
    """A field and a number, or the level of an alarm; the whole device is hurried."""
    _, fast = compiled(tmp_path, 'fast = { when = "level < -0.5", every = "1s" }')
    assert fast == Fast("level < -0.5", "", "level", -1, -0.5, 1000, 600_000)
    device = compile_file(tmp_path / "gateway.toml").site.buses[0].devices[0]
    assert [polled.period_ms for polled in hurried(device).polled] == [1000]
    _, fast = compiled(tmp_path, 'fast = { when = "bd1", every = "1s" }\n' + alarm('level = "bd1", at = 1.0'))
    assert fast == Fast("bd1", "bd1", "", 0, 0.0, 1000, 600_000)
