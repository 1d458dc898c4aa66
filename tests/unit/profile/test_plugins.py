"""gateway.profile.plugins: protocol modules by name, and what a profile that names one gets wrong."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gateway import sources
from gateway.errors import Invalid
from gateway.profile import plugins
from gateway.profile.load import load
from gateway.profile.profile import Line, ProtocolSource
from gateway.protocols import plugin
from tests.support.written import found

METER = sources.shipped() / "generic" / "dlt645-2007.toml"


def slipped(folder: Path, old: str, new: str) -> list[tuple[str, str]]:
    """What is found in the profile with this slip."""
    path = folder / "generic" / METER.name
    path.parent.mkdir()
    text = METER.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    path.with_suffix(".vectors.toml").write_text(METER.with_suffix(".vectors.toml").read_text("utf-8"), "utf-8")
    with pytest.raises(Invalid) as refused:
        load([folder])
    return found(refused.value)


def test_those_of_the_gateway_are_there() -> None:
    """Each can be loaded from the place where it is said to be."""
    for name, place in plugin.OWN.items():
        assert plugins.find(name) is plugin.load(place)
    source = load([sources.shipped()]).profiles["generic/dlt645-2007@1"].source
    assert source == ProtocolSource(Line(2400, 8, "E"), "dlt645-2007", plugin.OWN["dlt645-2007"], "AAAAAAAAAAAA")


def test_no_package_takes_the_name_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point of that name changes nothing."""
    points = [EntryPoint("vedirect", "evil:P", plugin.ENTRY_POINTS), EntryPoint("mine", "my:P", plugin.ENTRY_POINTS)]
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point for point in points if point.group == group])
    plugins.places.cache_clear()
    try:
        assert plugins.places()["vedirect"] == plugin.OWN["vedirect"]
        assert plugins.places()["mine"] == "my:P"
    finally:
        plugins.places.cache_clear()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('protocol = "dlt645-2007"', 'protocol = "dlt645"', ("unknown_protocol", "serial.protocol")),
        ('address = "AAAAAAAAAAAA"', 'address = "12"', ("bad_value", "serial.address")),
        ('address = "AAAAAAAAAAAA"', "", ("bad_value", "serial.protocol")),
        ('address = "AAAAAAAAAAAA"', 'address = "AAAAAAAAAAAA"\ntimeout = "2s"', ("keys_clash", "serial.timeout")),
        ('part = "00020000"', 'part = "00990000"', ("bad_layout", "fields.energy_export.part")),
        ('part = "00020000"', 'part = "00010000"', ("address_overlap", "fields.energy_export.part")),
        ('protocol = "dlt645-2007"', 'protocol = "dlt645-2007"\nperiod = "1s"', ("bad_value", "serial")),
        ("voltage_l2 = { ", 'voltage_l2 = { type = "u16", ', ("unknown_key", "fields.voltage_l2.type")),
    ],
)
def test_a_slip_is_named(tmp_path: Path, old: str, new: str, problem: tuple[str, str]) -> None:
    """Name, address and parts are known when the profile is read, not on the roof."""
    assert problem in slipped(tmp_path, old, new)


def test_a_check_that_fails_is_a_complaint() -> None:
    """Of a module of somebody else."""

    class Strange:
        def check(self, *_: object) -> None:
            raise KeyError("oops")

    assert "KeyError" in next(plugins.complaints(Strange(), "", ()))  # type: ignore[arg-type]  # a strange module
