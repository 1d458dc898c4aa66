"""What a device gets that answers nonsense, a device that is silent, a bus that is gone: one run of a whole cabinet.

The devices live in this process; daemon, ingest and broker are processes. What came of it is read on the control socket
and in the store.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.integration.test_chain import EmbeddedBroker
from tests.support import cabinet, station
from tests.support.cabinet import Cabinet, Story

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One run of a cabinet full of nonsense."""
    folder = tmp_path_factory.mktemp("cabinet")
    broker = EmbeddedBroker(folder)
    broker.start()
    run = Cabinet(folder, broker.port)
    try:
        yield asyncio.run(run.live())
    finally:
        run.kill()
        broker.kill()


LOST = [f"{bus}-{fault}" for bus, faults in (("rtu", cabinet.RTU), ("tcp", cabinet.TCP)) for fault in faults]
CODES = {"late": {"no_reply"}, "exception-2": {"refused"}, "exception-4": {"refused"}}  # else bad_reply first
LOSES_STEP = {"tcp-garbage", "tcp-truncated"}  # the connection goes with the answer, maybe before its row is made
BAD_REPLY = {"bad_reply", "no_reply"}  # while a late answer is still owed, the same question is not asked


@pytest.mark.parametrize("device", [name for name in LOST if not name.endswith("nonsense")])
def test_a_bad_answer_costs_its_field_and_no_other(story: Story, device: str) -> None:
    """Each stored row is whole but for that field, which is null with a code; the device is not called down."""
    rows, expected = story.rows(device), CODES.get(device.partition("-")[2], BAD_REPLY)
    assert rows
    assert {name: row.get(name) for row in rows for name in ("temperature", "pressure")} == {
        "temperature": station.GOOD["temperature"],
        "pressure": station.GOOD["pressure"],
    }
    assert all("frequency" not in row for row in rows)
    assert {row["qc"] for row in rows} <= {f"frequency:{code}" for code in expected}
    first = "bad_reply" if expected == BAD_REPLY else min(expected)
    assert f"frequency:{first}" in {row["qc"] for row in rows} or device in LOSES_STEP
    assert [code for code, _ in story.events(device)] == (["field_refused"] if device.endswith("exception-2") else [])


@pytest.mark.parametrize("device", [name for name in LOST if name.endswith("nonsense")])
def test_a_value_that_cannot_be_true_is_null(story: Story, device: str) -> None:
    """No number, and a number out of range: null each with its code, the rest of the row kept."""
    rows = story.rows(device)
    assert rows
    assert {(row["frequency"], row["qc"]) for row in rows} == {
        (50.0, "temperature:out_of_range,pressure:not_a_number"),
    }
    assert all("temperature" not in row and "pressure" not in row for row in rows)


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("wrong-crc", "bad_reply"),
        ("wrong-function", "bad_reply"),
        ("wrong-count", "bad_reply"),
        ("foreign", "bad_reply"),
        ("garbage", "bad_reply"),
        ("truncated", "bad_reply"),
        ("late", "no_reply"),
        ("exception-2", "exception_2"),
        ("exception-4", "exception_4"),
    ],
)
def test_each_failure_is_counted(story: Story, fault: str, cause: str) -> None:
    """By device and cause, on the control socket."""
    buses = ["rtu"] if fault == "wrong-crc" else ["rtu", "tcp"]
    for bus in buses:
        assert story.counted("read_failures", device=f"{bus}-{fault}", cause=cause) >= 1
        assert story.counted("values_null", device=f"{bus}-{fault}") >= cabinet.ROWS or fault == "late"


def test_values_that_cannot_be_true_are_counted(story: Story) -> None:
    """By device and code."""
    for device in ("rtu-nonsense", "tcp-nonsense"):
        for code in ("out_of_range", "not_a_number"):
            assert story.counted("values_null", device=device, code=code) >= cabinet.ROWS


@pytest.mark.parametrize("device", ["rtu-good", "tcp-good", "near-1"])
def test_the_neighbours_are_not_affected(story: Story, device: str) -> None:
    """No failure, no missed poll, every row whole and right, though others of its bus answer nonsense."""
    rows = story.rows(device)
    assert len(rows) >= cabinet.ROWS
    assert all(row == station.GOOD for row in rows)
    assert story.counted("read_failures", device=device) == 0
    assert story.counted("polls_missed", device=device, cause="busy") == 0
    assert story.events(device) == []


def test_what_people_are_shown_is_what_is_sent(story: Story) -> None:
    """The control socket's newest row: null and why, where the stored row has a code."""
    (shown,) = [row for row in story.shown if row["device"] == "rtu-nonsense"]
    assert shown["values"] == {"temperature": None, "pressure": None, "frequency": 50.0}
    assert shown["quality"] == {"temperature": "out_of_range", "pressure": "not_a_number"}


def test_a_stream_with_garbage_keeps_its_good_frames(story: Story) -> None:
    """A broken frame, half a frame and noise stand before each good one: every stored value is the good one's."""
    rows = story.rows("wind-1")
    assert len(rows) >= cabinet.ROWS
    assert all(row == {"wind_direction": 229.0, "wind_speed": 2.74} for row in rows)
    assert story.counted("read_failures", device="wind-1", cause="bad_reply") >= cabinet.ROWS
    assert story.events("wind-1") == []


def test_a_silent_device_is_told_and_told_again(story: Story) -> None:
    """Down with its cause, then up; its neighbours say nothing."""
    assert story.events("mute-1") == [("device_down", "no_reply"), ("device_up", "")]


@pytest.mark.parametrize(("bus", "cause"), [("far", "cannot be reached"), ("near", "cannot be opened")])
def test_a_bus_that_is_gone_is_told_and_no_device_is_blamed(story: Story, bus: str, cause: str) -> None:
    """Down with its cause, then up: an endpoint that went away, a port that was not there at the start."""
    (down, why), up = story.events(bus)
    assert (down, up) == ("bus_down", ("bus_up", ""))
    assert cause in str(why)
    assert story.events(f"{bus}-1") == []
    assert story.rows(f"{bus}-1")


def test_the_status_names_the_bus_and_not_its_devices(story: Story) -> None:
    """While it is away."""
    assert (story.while_away["buses_down"], story.while_away["devices_down"]) == (["near"], [])


def test_a_bus_full_of_nonsense_is_not_down(story: Story) -> None:
    """A converter that hangs up, a stream that loses step: opened again without a word."""
    assert story.events("rs485-1") == story.events("tcp-1") == []
