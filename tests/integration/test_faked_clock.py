"""The real daemon with a clock that comes late, lies, jumps, or never comes: stored times are right, or marked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import checker
from tests.support.certificates import Authority
from tests.support.checker_matching import Truth
from tests.support.faked_clock import FakedBox, live
from tests.support.servers import Mosquitto, ServerTls
from tests.support.store_points import Point

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

HOUR_S, DAY_S, DECADE_S = 3_600, 86_400, 315_576_000
LIMITS = checker.Limits(
    within_ms=3_000, p99_ms=3_000, half_ms=3_000
)  # the lies are of hours; test_chain judges milliseconds


@contextmanager
def living(box: FakedBox) -> Iterator[FakedBox]:
    """Nothing of it outlives the test."""
    try:
        box.start()
        yield box
    finally:
        box.end()


def since_1970_s() -> float:
    """How far a clock is off that began at power-on."""
    return 10 - time.time()


def test_a_clock_that_comes_late_lies_and_jumps(tmp_path: Path) -> None:
    """A boot that never has one; one that gets it late, and meets +1 h, -1 day, +10 years that nobody confirms."""
    with Mosquitto(tmp_path) as broker, living(FakedBox(tmp_path, broker, "kernel")) as box:
        box.clock(since_1970_s())
        box.boot()
        box.until("unset")
        live(1)
        box.gateway.stop()
        box.clock(since_1970_s(), "refused")
        second = box.boot()
        box.until("unset")
        box.wait(lambda: ("clock_unreadable", "unset") in box.events(), "the alarm that the kernel refuses")
        assert box.status()["alarms"] == ["clock_unreadable"]
        box.clock(0, "synchronised")
        box.until("ntp")
        live(1)
        for step_s in (HOUR_S, -DAY_S, DECADE_S):
            box.clock(step_s, "synchronised")
            box.until("holdover")
            live(0.7)
            box.clock(0, "synchronised")
            box.until("ntp")
        box.drain()
        stored = box.points()
        assert set(stored) == {"", "holdover", "estimated"}
        _same_in_order(stored.pop("estimated"), box.truths(to_ms=second))
        points = [point for word in stored.values() for point in word]
        report = checker.check(box.truths(from_ms=second), points, limits=LIMITS)
        assert report.ok, report.text()
        codes = [code for code, _ in box.events()]
        assert codes.count("clock_step_held") == 3
        assert "clock_step" not in codes
        assert {"clock_set", "clock_readable"} <= set(codes)


@pytest.mark.parametrize("wall", ["1970", "2041"])
def test_no_time_server_and_tls(tmp_path: Path, wall: str) -> None:
    """`trust = "ioc"`: a certificate that is good lets the box in whatever it believes; the first receipt dates all."""
    authority = Authority(tmp_path, "city-ca")
    issued = authority.issue("ioc", valid=("20200101000000Z", "20320101000000Z"))
    tls = ServerTls(authority.certificate, issued.certificate, issued.key)
    with (
        Mosquitto(tmp_path, tls=tls) as broker,
        living(FakedBox(tmp_path, broker, "ioc", ca=authority.certificate)) as box,
    ):
        box.clock(since_1970_s() if wall == "1970" else 15 * DECADE_S / 10, "synchronised")
        box.boot()
        box.until("ioc")
        live(1)
        box.quiet()
        stored = box.points()
        assert set(stored) <= {"ioc", "holdover"}
        report = checker.check(box.truths(), [point for word in stored.values() for point in word], limits=LIMITS)
        assert report.ok, report.text()
        assert ("clock_asked", "unset") in box.events()


def test_an_expired_certificate_is_refused_in_1970(tmp_path: Path) -> None:
    """Against the build: the box does not know what day it is, but it is not before that. The cause is told."""
    authority = Authority(tmp_path, "city-ca")
    expired = authority.issue("ioc", valid=("20200101000000Z", "20251231235959Z"))
    tls = ServerTls(authority.certificate, expired.certificate, expired.key)
    with Mosquitto(tmp_path, tls=tls) as broker:
        box = FakedBox(tmp_path, broker, "kernel", ca=authority.certificate)
        try:
            box.clock(since_1970_s())
            box.boot()
            box.wait(lambda: "expired on Dec 31" in str(box.status().get("refusal")), "the refusal and its cause")
            assert box.status()["connected"] is False
            box.gateway.stop()
        finally:
            box.end()


def _same_in_order(points: list[Point], truths: list[Truth]) -> None:
    """Every value of a boot without a clock, in its order, though at assumed times."""
    assert points
    for name in {point.field for point in points}:
        said = [truth.value for truth in truths if truth.field == name]
        assert [point.value for point in points if point.field == name] == said
