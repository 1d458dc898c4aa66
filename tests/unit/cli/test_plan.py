"""gateway plan: what each bus will be asked and the uplink will carry, before anything is installed."""

from io import StringIO
from pathlib import Path
from re import findall
from typing import Any

import orjson
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


LISTEN = 'port = "/dev/serial/by-id/usb-1"\nmode = "listen"'


def planned(folder: Path, text: str, lang: str = "en") -> tuple[int, list[str]]:
    """Exit status and lines."""
    out = StringIO()
    path = write(folder / "gateway.toml", text)
    return plan.show(path, [write_station(folder / "profiles")], lang, out), out.getvalue().splitlines()


class Phone(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields are wrapped to the terminal, not to a sheet of paper."""
    monkeypatch.setenv("COLUMNS", "60")
    site = SITE.replace('profile = "acme/station@1"', 'profile = "eastron/sdm630@1"').replace('every = "1s"\n', "")
    out = Phone()
    path = write(tmp_path / "gateway.toml", site)
    assert plan.show(path, [write_station(tmp_path / "profiles")], "vi", out) == 0
    fields = [line for line in out.getvalue().splitlines() if line.startswith(" " * plan.INDENT)]
    assert len(fields) > 10
    assert max(map(len, fields)) <= 60


def document(folder: Path, text: str) -> dict[str, Any]:
    """The same as JSON."""
    out = StringIO()
    path = write(folder / "gateway.toml", text)
    assert plan.show(path, [write_station(folder / "profiles")], "en", out, as_json=True) == 0
    loaded: dict[str, Any] = orjson.loads(out.getvalue())
    return loaded


def test_each_read_with_its_fields_and_time(tmp_path: Path) -> None:
    """A line a read, its fields below it; what lies together is one read, what is in another table is another."""
    code, lines = planned(tmp_path, SITE)
    assert code == 0
    assert lines[0] == "rs485-1   Modbus RTU 9600 8N1   /dev/serial/by-id/usb-1"
    assert lines[1].split() == ["device", "every", "read", "one", "cycle", "load"]
    assert lines[2].split()[:6] == ["station-1", "1", "s", "holding", "0x0014", "+1"]
    assert lines[3] == "      frequency"
    assert lines[4].split()[:3] == ["input", "0x0000", "+3"]
    assert lines[5] == "      temperature pressure"
    assert lines[7:] == [
        "  every period is held",
        "",
        "wind-line   serial 9600 8N1   /dev/serial/by-id/usb-2",
        "  wind-1 sends by itself; a row every 2 s",
        "",
        *lines[12:],
    ]


def test_the_load_is_the_sum_of_the_reads(tmp_path: Path) -> None:
    """Of a bus's time, in per cent."""
    _, lines = planned(tmp_path, SITE)
    shares = [float(lines[at].split()[-2]) for at in (2, 4)]
    assert lines[6] == f"  load {sum(shares):.1f} %"


def test_a_bus_that_cannot_keep_up_is_told_with_what_would_do(tmp_path: Path) -> None:
    """Before anybody drives out: the load, and at most three remedies with the load that they leave."""
    code, lines = planned(tmp_path, SITE.replace('every = "1s"', 'every = "50ms"'))
    assert code == 0
    assert lines[6].startswith("  load 1")
    assert lines[7].startswith("  ! The bus cannot hold its periods: it would need 1")
    assert lines[8] == "    what would do, the least effort first:"
    assert lines[9].startswith("    1. station-1 every 1 s instead of every 50 ms: load ")
    assert lines[10].startswith("    2. all periods 2 times as long: load ")
    assert lines[11].startswith("    3. 19200 baud instead of 9600, in the bus and in every device on it: load ")


def test_a_poll_that_takes_too_long_at_once_is_named(tmp_path: Path) -> None:
    """The bus has time enough in all, and yet somebody waits too long."""
    meter = '[[device]]\nname = "meter-1"\nbus = "rs485-1"\nunit_id = 2\nprofile = "eastron/sdm630@1"\nevery = "10s"\n'
    _, lines = planned(tmp_path, SITE.replace('every = "1s"', 'every = "200ms"') + meter)
    (told,) = (line for line in lines if line.startswith("  !"))
    assert "a poll of meter-1 takes " in told
    assert "one of station-1, due every 200 ms, is up to " in told


def test_groups_that_share_reads_are_told(tmp_path: Path) -> None:
    """What a slower group saves when it rides with a quicker one."""
    slower = '[device.fields.pressure]\nevery = "10s"\n'
    text = SITE.replace('every = "1s"\n', f'every = "1s"\n{slower}', 1)
    _, lines = planned(tmp_path, text)
    assert any("where groups that are due together share reads" in line for line in lines)


def test_a_bus_that_is_not_asked_has_no_load(tmp_path: Path) -> None:
    """Without devices, or when it only listens."""
    _, lines = planned(tmp_path, SITE[: SITE.index("[[device]]")])
    assert lines[1] == "  nothing to ask"
    _, lines = planned(tmp_path, SITE.replace('port = "/dev/serial/by-id/usb-1"', LISTEN))
    assert lines[1] == "  only listens: another master asks"


def test_what_the_uplink_carries(tmp_path: Path) -> None:
    """The parts of a month, and their sum."""
    _, lines = planned(tmp_path, SITE)
    at = lines.index("ioc   wired   127.0.0.1:1883")
    assert lines[at + 1].endswith(" MB in a month of 30 days, both ways, headers and acknowledgements included")
    parts = [float(line.split()[-2]) for line in lines[at + 2 :]]
    assert float(lines[at + 1].split()[0]) == pytest.approx(sum(parts), abs=0.25)


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_the_budget_is_held_against_it(tmp_path: Path, lang: str) -> None:
    """A share of it; when it is more than all, what to do."""
    _, lines = planned(tmp_path, SITE.replace('name = "ioc"', 'name = "ioc"\nbudget_mb = 10000'), lang)
    assert "10000 MB" in lines[-1]
    assert "!" not in lines[-1]
    _, lines = planned(tmp_path, SITE.replace('name = "ioc"', 'name = "ioc"\nbudget_mb = 1'), lang)
    assert lines[-2].startswith(f"  ! {words.title('over_budget', lang)}: ")
    assert lines[-1] == f"    -> {words.next_step('over_budget', lang)}"


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_wrong_file_is_exit_2(tmp_path: Path, lang: str) -> None:
    """Every problem, as `gateway check` says it."""
    code, lines = planned(tmp_path, SITE.replace("unit_id = 1", "unit_id = 0") + "colour = 1\n", lang)
    assert code == 2
    assert sum(line.startswith(f"{tmp_path}/gateway.toml:") for line in lines) == 2
    assert f"    -> {words.next_step('unknown_key', lang)}" in lines


def test_both_languages_say_the_same_things() -> None:
    """The same keys, the same places to fill in; a language that is not known is English."""
    english, vietnamese = plan.WORDS["en"], plan.WORDS["vi"]
    assert list(english) == list(vietnamese)
    for key, said in english.items():
        assert set(findall(r"{\d}", said)) == set(findall(r"{\d}", vietnamese[key])), key
        assert said.count("|") == vietnamese[key].count("|")


def test_another_language(tmp_path: Path) -> None:
    """Vietnamese is asked for, and anything else is English."""
    assert "  giữ kịp mọi chu kỳ" in planned(tmp_path, SITE, "vi")[1]
    assert "  every period is held" in planned(tmp_path, SITE, "xx")[1]


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_read_of_many_fields_stays_readable(tmp_path: Path, lang: str) -> None:
    """A meter's read names every field and breaks its line for them."""
    meter = '[[device]]\nname = "meter-1"\nbus = "rs485-1"\nunit_id = 2\nprofile = "eastron/sdm630@1"\nevery = "1s"\n'
    _, lines = planned(tmp_path, SITE + meter, lang)
    assert max(map(len, lines)) <= 100
    assert {"voltage_l1", "frequency", "voltage_thd_l3"} <= set(" ".join(lines).split())


def test_all_of_it_for_programs(tmp_path: Path) -> None:
    """Loads as numbers, reads with their fields, remedies, the bytes of a month."""
    said = document(tmp_path, SITE.replace('every = "1s"', 'every = "50ms"'))
    rs485, wind = said["buses"]
    assert (rs485["name"], rs485["holds"], rs485["line"]) == ("rs485-1", False, "9600 8N1")
    assert rs485["load"] == pytest.approx(sum(read["ms"] / read["period_ms"] for read in rs485["reads"]))
    assert rs485["reads"][0]["fields"] == ["frequency"]
    assert rs485["remedies"][0]["kind"] == "period"
    assert (wind["reads"], wind["holds"]) == ([], True)
    (uplink,) = said["uplinks"]
    month = uplink["month"]
    assert month["total"] == sum(month[part] for part in ("data", "receipts", "status", "rest"))


@pytest.mark.parametrize(
    ("ms", "said"),
    [(50, "50 ms"), (1000, "1 s"), (1500, "1.5 s"), (60_000, "1 min"), (90_000, "90 s"), (3_600_000, "1 h")],
)
def test_periods_are_said_in_the_largest_unit(ms: int, said: str) -> None:
    """That says them in whole numbers; seconds otherwise."""
    assert plan.duration(ms) == said


ASKED = SITE.replace("gill/windsonic@1", "vaisala/wxt520@1")


def test_a_line_of_sensors_that_are_asked(tmp_path: Path) -> None:
    """How often, how long that takes, and whether the line can hold it; in words and as JSON."""
    status, lines = planned(tmp_path, ASKED)
    assert status == 0
    at = next(n for n, line in enumerate(lines) if line.startswith("  wind-1 is asked every 2 s"))
    assert "at most" in lines[at]
    assert lines[at + 1].strip().startswith("load ")
    assert lines[at + 2].strip() == "every period is held"
    (line,) = [one for one in document(tmp_path, ASKED)["buses"] if one["name"] == "wind-line"]
    assert (line["transport"], line["holds"], line["reads"]) == ("talk", True, [])
    assert 0 < line["load"] < 1


@pytest.mark.parametrize(
    ("device", "every", "holds"),
    [("station", "200ms", True), ("station", "50ms", False), ("wind", "1s", True), ("wind", "50ms", False)],
)
@pytest.mark.parametrize("lang", ["en", "vi"])
def test_whether_every_fast_fits(tmp_path: Path, device: str, every: str, lang: str, *, holds: bool) -> None:
    """The load with all of them in force, of a Modbus bus and of a line of sensors that are asked."""
    when = "wind_speed > 20" if device == "wind" else "temperature > 40"
    fast = f'fast = {{ when = "{when}", every = "{every}" }}\n'
    marker = 'profile = "vaisala/wxt520@1"\n' if device == "wind" else 'profile = "acme/station@1"\n'
    hurried = ASKED.replace(marker, marker + fast)
    status, lines = planned(tmp_path, hurried, lang)
    word = "fast" if holds else "fast_refused"
    start, _, rest = plan.WORDS[lang][word].partition("{0}")
    (line,) = [one for one in lines if start in one]
    assert status == 0
    assert line.startswith("  " if holds else "  ! ")
    assert line.endswith(rest)
    name = "wind-line" if device == "wind" else "rs485-1"
    told = {one["name"]: one["fast"] for one in document(tmp_path, hurried)["buses"]}
    assert told.pop(name)["holds"] is holds
    assert list(told.values()) == [None]


def test_such_a_line_with_too_much_to_do(tmp_path: Path) -> None:
    """Told as for any bus."""
    crowded = ASKED.replace('every = "2s"', 'every = "100ms"')
    assert any(
        line.strip().startswith("! " + words.title("bus_overloaded", "vi"))
        for line in planned(tmp_path, crowded, "vi")[1]
    )
    (line,) = [one for one in document(tmp_path, crowded)["buses"] if one["name"] == "wind-line"]
    assert (line["holds"], line["blocker"]) == (False, None)


def test_reads_of_a_sunspec_model_count_from_it(tmp_path: Path) -> None:
    """Where it stands is not known before the device is met: its reads are shown as the model's."""
    site = SITE.replace('profile = "acme/station@1"', 'profile = "sunspec/inverter@1"')
    code, lines = planned(tmp_path, site)
    assert code == 0
    assert lines[2].split()[3:6] == ["model", "0x0000", "+38"]
    (read, *_) = document(tmp_path, site)["buses"][0]["reads"]
    assert (read["space"], read["table"], read["address"], read["count"]) == ("model", "holding", 0, 38)
