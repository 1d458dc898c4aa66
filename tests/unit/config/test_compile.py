"""gateway.config.compile: one file to one site, with every problem of everything."""

from pathlib import Path

import pytest

from gateway import sources, toml_file
from gateway.config.compile import compile_file, compile_simulator_file, compile_site
from gateway.config.gateway import GatewayConfig
from gateway.errors import Invalid
from gateway.model import Group
from gateway.profile.load import load
from gateway.site import Area, Location, SpoolSettings, dumps, loads
from tests.support.written import BUS, DEVICE, PROFILE, SITE, VECTORS, codes, found, write, write_profile

WHOLE = """config_version = 1
[gateway]
id = "hc-0001"
root = "danang"
area = { scheme = "gso-2025", code = "20242", name = "Hải Châu" }
location = { lat = 16.0678, lon = 108.2208, note = { vi = "Trụ 17, cống Lê Lợi", en = "Pole 17" } }
[clock]
trust = "system"
[spool]
path = "spool"
quota = "200 MB"
archive_days = 7
[[uplink]]
name = "ioc"
network = "mobile"
[[uplink.server]]
url = "mqtts://ioc.danang.example:8883"
"""


def test_a_whole_file(tmp_path: Path) -> None:
    """Who, where, how much, from what; and it survives the way to the daemon."""
    write_profile(tmp_path / "profiles")
    path = write(tmp_path / "gateway.toml", WHOLE + BUS + DEVICE)
    compiled = compile_file(path, [tmp_path / "profiles"])
    site = compiled.site
    assert (site.gateway, site.root, site.clock_trust) == ("hc-0001", "danang", "system")
    assert site.area == Area("gso-2025", "20242", "Hải Châu")
    assert site.location == Location(16.0678, 108.2208, (("en", "Pole 17"), ("vi", "Trụ 17, cống Lê Lợi")))
    assert site.spool == SpoolSettings(f"{tmp_path}/spool", 200_000_000, 7)
    assert site.uplinks[0].servers[0].host == "ioc.danang.example"
    (polled,) = site.buses[0].devices[0].polled
    assert polled.group == Group("probe-1", "probe", "acme/probe@1", ("temperature",), "f")
    assert site.sources == sources.of(path, [tmp_path / "profiles"])
    assert loads(dumps(site)) == site


def test_every_problem_of_everything_at_once(tmp_path: Path) -> None:
    """Unknown keys, planned keys, and what does not fit together, in the order of the file."""
    text = SITE + BUS + DEVICE.replace("rs485-1", "rs485-9") + 'serve = "1m"\ncolour = 1\n'
    with pytest.raises(Invalid) as caught:
        compile_file(write(tmp_path / "gateway.toml", text))
    assert found(caught.value) == [
        ("unknown_bus", "device[0].bus"),
        ("unknown_profile", "device[0].profile"),
        ("not_built_yet", "device[0].serve"),
        ("unknown_key", "device[0].colour"),
    ]
    assert [p.line for p in caught.value.problems] == sorted(p.line for p in caught.value.problems)


def test_broken_profiles_and_a_broken_file_together(tmp_path: Path) -> None:
    """Neither hides the other."""
    write_profile(tmp_path / "profiles", vectors=None)
    path = write(tmp_path / "gateway.toml", SITE + "[clock]\ntrust = 1\n")
    with pytest.raises(Invalid) as caught:
        compile_file(path, [tmp_path / "profiles"])
    assert sorted(codes(caught.value.problems)) == ["no_vectors", "not_one_of"]


def test_an_override_is_a_note(tmp_path: Path) -> None:
    """A profile of the machine that replaces a shipped one is said, and done."""
    shipped = sources.shipped() / "xy"
    for name in ("md02.toml", "md02.vectors.toml"):
        write(tmp_path / "profiles" / "xy" / name, (shipped / name).read_text())
    compiled = compile_file(write(tmp_path / "gateway.toml", SITE), [tmp_path / "profiles"])
    assert codes(compiled.notes) == ["profile_overridden"]


def test_a_deprecated_profile_is_a_note_of_the_device(tmp_path: Path) -> None:
    """A site that pins the old version runs on; check says which one takes its place, and why."""
    old = PROFILE.replace(
        "[modbus]", 'deprecated = { by = "acme/new@1", why = { en = "Scale", vi = "Hệ số" } }\n[modbus]'
    )
    write_profile(tmp_path / "profiles", old)
    write(tmp_path / "profiles/acme/new.toml", PROFILE.replace("acme/probe", "acme/new"))
    write(tmp_path / "profiles/acme/new.vectors.toml", VECTORS)
    compiled = compile_file(write(tmp_path / "gateway.toml", SITE + BUS + DEVICE), [tmp_path / "profiles"])
    (note,) = compiled.notes
    assert (note.code, note.path) == ("profile_deprecated", "device[0].profile")
    assert note.detail == "acme/probe@1, by acme/new@1: Scale / Hệ số"


def test_a_named_folder_of_profiles_must_be_there(tmp_path: Path) -> None:
    """One problem among the others: the file's own are told too."""
    path = write(tmp_path / "gateway.toml", SITE + "colour = 1\n")
    with pytest.raises(Invalid) as caught:
        compile_file(path, [tmp_path / "none"])
    assert sorted(codes(caught.value.problems)) == ["file_unreadable", "unknown_key"]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (BUS + BUS.replace("usb-1", "usb-2"), "bus[1].name"),
        (BUS + DEVICE + DEVICE.replace("unit_id = 1", "unit_id = 2"), "device[1].name"),
        (BUS + DEVICE.replace("probe-1", "rs485-1"), "device[0].name"),
    ],
)
def test_names_are_used_once(tmp_path: Path, text: str, path: str) -> None:
    """An event names a bus or a device by its name alone."""
    write_profile(tmp_path / "profiles")
    with pytest.raises(Invalid) as caught:
        compile_file(write(tmp_path / "gateway.toml", SITE + text), [tmp_path / "profiles"])
    assert ("doubled_name", path) in found(caught.value)


def test_the_files_of_the_demo_compile(tmp_path: Path) -> None:
    """Eight devices on five buses, of six models."""
    from gateway.app.demo_site import site_text

    compiled = compile_file(write(tmp_path / "gateway.toml", site_text(tmp_path, 1883, [1502, 1503])))
    assert len(compiled.site.buses) == 5
    assert compiled.notes == ()


def test_a_site_from_values(tmp_path: Path) -> None:
    """Tests and simulators need no file."""
    config = toml_file.read(write(tmp_path / "g.toml", SITE), GatewayConfig)
    assert compile_site(config, load([]).profiles).gateway == "hc-0001"


def test_a_simulators_file(tmp_path: Path) -> None:
    """The same site, and its signals."""
    write_profile(tmp_path / "profiles")
    signal = '[signal]\n"probe-1.temperature" = { kind = "constant", value = 1.0 }\n'
    path = write(tmp_path / "sim.toml", SITE + BUS + DEVICE + signal)
    compiled = compile_simulator_file(path, [tmp_path / "profiles"])
    assert compiled.config.signal == {"probe-1.temperature": {"kind": "constant", "value": 1.0}}
    assert compiled.site.buses[0].devices[0].name == "probe-1"
    with pytest.raises(Invalid) as caught:
        compile_file(path, [tmp_path / "profiles"])
    assert found(caught.value) == [("unknown_key", "signal")]
