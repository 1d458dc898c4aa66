"""gateway plan: what each bus will be asked, before anything is installed."""

from io import StringIO
from pathlib import Path

import pytest

from gateway.cli import plan
from gateway.text import words
from tests.support.station import write_station
from tests.support.written import write

SITE = """config_version = 1
[gateway]
id = "hc-0001"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:1883"
[[bus]]
name = "rs485-1"
port = "/dev/serial/by-id/usb-1"
line = "9600 8N1"
[[bus]]
name = "wind-line"
port = "/dev/serial/by-id/usb-2"
[[device]]
name = "station-1"
bus = "rs485-1"
unit_id = 1
profile = "acme/station@1"
every = "1s"
[[device]]
name = "wind-1"
bus = "wind-line"
profile = "gill/windsonic@1"
every = "2s"
"""


def planned(folder: Path, text: str, lang: str = "en") -> tuple[int, list[str]]:
    """Exit status and lines."""
    out = StringIO()
    path = write(folder / "gateway.toml", text)
    return plan.show(path, [write_station(folder / "profiles")], lang, out), out.getvalue().splitlines()


def test_each_read_with_its_fields_and_time(tmp_path: Path) -> None:
    """One line a read; what lies together is one read, what is in another table is another."""
    code, lines = planned(tmp_path, SITE)
    assert code == 0
    assert lines[0] == "rs485-1  rtu  /dev/serial/by-id/usb-1"
    one, two = sorted(lines[1:3])
    assert one.startswith("  station-1 every 1 s: holding 0x0014 +1  ")
    assert one.endswith(" ms  frequency")
    assert two.startswith("  station-1 every 1 s: input 0x0000 +3  ")
    assert two.endswith(" ms  temperature pressure")
    assert lines[4:] == [
        "wind-line  stream  /dev/serial/by-id/usb-2",
        "  wind-1: sends by itself; a row every 2 s",
    ]


def test_the_load_is_the_sum_of_the_reads(tmp_path: Path) -> None:
    """In hundredths of the bus's time."""
    _, lines = planned(tmp_path, SITE)
    times = [float(line.rpartition(" ms  ")[0].rpartition("  ")[2]) for line in lines[1:3]]
    assert lines[3] == f"  load {sum(times) / 10:.1f} %"


def test_a_bus_that_cannot_keep_up_is_told(tmp_path: Path) -> None:
    """Before anybody drives out."""
    code, lines = planned(tmp_path, SITE.replace('every = "1s"', 'every = "50ms"'))
    assert code == 0
    assert lines[3].endswith(" %  MORE THAN THE BUS CAN DO")


def test_a_bus_without_devices_has_no_load(tmp_path: Path) -> None:
    """Nothing to ask."""
    _, lines = planned(tmp_path, SITE[: SITE.index("[[device]]")])
    assert lines[:2] == ["rs485-1  rtu  /dev/serial/by-id/usb-1", "  load 0.0 %"]


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_wrong_file_is_exit_2(tmp_path: Path, lang: str) -> None:
    """Every problem, as `gateway check` says it."""
    code, lines = planned(tmp_path, SITE.replace("unit_id = 1", "unit_id = 0") + "colour = 1\n", lang)
    assert code == 2
    assert sum(line.startswith(f"{tmp_path}/gateway.toml:") for line in lines) == 2
    assert f"    -> {words.next_step('unknown_key', lang)}" in lines


def test_a_read_of_many_fields_stays_readable(tmp_path: Path) -> None:
    """A meter's read names every field and breaks its line for them."""
    meter = '[[device]]\nname = "meter-1"\nbus = "rs485-1"\nunit_id = 2\nprofile = "eastron/sdm630@1"\nevery = "1s"\n'
    _, lines = planned(tmp_path, SITE + meter)
    assert max(map(len, lines)) <= 100
    assert {"voltage_l1", "frequency", "voltage_thd_l3"} <= set(" ".join(lines).split())
