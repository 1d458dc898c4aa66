"""gateway.south.schedule.silence: whom a silence is blamed on, and when it is told."""

from itertools import pairwise

from gateway.model import BootMs
from gateway.south.schedule.silence import (
    DOWN_AFTER_MS,
    MISSES_DOWN,
    REOPEN_MS,
    REOPEN_MS_MAX,
    Change,
    Health,
    News,
    Reopening,
    Silence,
)

SECOND = 1000


class Bus:
    """Devices `a`, `b` ... of one group each; `a` has as many as is said."""

    def __init__(self, devices: int, groups: int = 1, period_ms: int = SECOND) -> None:
        self.now = 0
        first = Health("a", frozenset(range(groups)), period_ms)
        others = [Health("bcdefgh"[n], frozenset({groups + n}), period_ms) for n in range(devices - 1)]
        self.devices = [first, *others]
        self.silence = Silence("bus-1", self.devices)

    def miss(self, *names: str, group: int = 0, cause: str = "no_reply") -> list[News]:
        """They miss, one after the other, a second apart."""
        news: list[News] = []
        for name in names:
            self.now += SECOND
            device = self._device(name)
            place = group if name == "a" else min(device.groups)
            news += self.silence.missed(device, place, BootMs(self.now), cause)
        return news

    def hear(self, name: str, group: int = 0) -> list[News]:
        """A good reply."""
        self.now += SECOND
        device = self._device(name)
        return self.silence.heard(device, group if name == "a" else min(device.groups), BootMs(self.now))

    def down(self) -> tuple[str, ...]:
        """Who is down."""
        return self.silence.down

    def nobody_answers(self) -> bool:
        """Whether that would be told now."""
        return self.silence.nobody_answers

    def unheard(self) -> bool:
        """Whether it would be opened again."""
        return self.silence.unheard

    def accuses(self) -> bool:
        """Whether a witness is wanted."""
        return self.silence.wants_witness

    def _device(self, name: str) -> Health:
        return next(device for device in self.devices if device.name == name)


DOWN, UP = News("a", Change.DOWN, "no_reply"), News("a", Change.UP)


def test_three_misses_of_a_device_while_another_is_heard() -> None:
    """Down, once, with its cause; up at the first good reply."""
    bus = Bus(2)
    assert bus.miss("a", "a") == []
    assert bus.hear("b") == []
    assert bus.miss("a") == [DOWN]
    assert bus.down() == ("a",)
    assert bus.miss("a", "a") == []
    assert bus.hear("a") == [UP]
    assert bus.down() == ()


def test_one_lost_reply_is_no_news_however_long_ago() -> None:
    """A device that is asked once an hour is not down for it."""
    bus = Bus(2, period_ms=3600 * SECOND)
    bus.miss("a")
    bus.now += 100 * 3600 * SECOND
    assert bus.hear("b") == []
    assert bus.down() == ()


def test_two_misses_and_a_long_silence_are_enough() -> None:
    """On a full bus probes are rare: ten seconds, or three periods where that is more."""
    for period_ms, long_ms in ((SECOND, DOWN_AFTER_MS), (5 * SECOND, 15 * SECOND)):
        for wait_ms, wanted in ((long_ms - SECOND - 1, []), (long_ms - SECOND, [DOWN])):
            bus = Bus(2, period_ms=period_ms)
            bus.miss("a")
            bus.hear("b")
            bus.now += wait_ms - SECOND
            assert bus.miss("a") == wanted


def test_a_group_that_is_silent_in_itself_says_nothing_of_its_device() -> None:
    """The other group answers in between: no number of misses takes the device down."""
    bus = Bus(2, groups=2)
    for _ in range(3 * MISSES_DOWN):
        assert bus.miss("a", group=1) == []
        assert bus.hear("a", group=0) == []
        assert bus.hear("b") == []
    assert not bus.devices[0].suspect


def test_every_group_has_to_be_asked_before_the_third_miss_counts() -> None:
    """Three misses of one of two groups are not enough at once."""
    bus = Bus(2, groups=2)
    bus.miss("a", "a", "a")
    assert bus.hear("b") == []
    assert bus.miss("a", group=1) == [DOWN]


def test_a_device_is_not_blamed_before_another_was_heard() -> None:
    """Accused, it waits for a witness, and is called down by what that one says."""
    bus = Bus(2)
    assert bus.miss("a", "a", "a", "a") == []
    assert bus.accuses()
    assert bus.hear("b") == [DOWN]
    assert not bus.accuses()


def test_an_accused_device_that_answers_is_no_news() -> None:
    """It was slow."""
    bus = Bus(2)
    bus.miss("a", "a", "a")
    assert bus.hear("a") == []
    assert bus.hear("b") == []


def test_a_device_alone_on_its_bus_is_called_down() -> None:
    """Nobody can tell the two apart; the device has the name that people know."""
    bus = Bus(1)
    assert bus.miss("a", "a", "a") == [DOWN]
    assert not bus.nobody_answers()


def test_the_last_device_that_was_not_down_is_called_down() -> None:
    """With the other one down since before, it is as good as alone."""
    bus = Bus(2)
    bus.miss("a", "a")
    bus.hear("b")
    bus.miss("a")
    assert bus.miss("b", "b", "b") == [News("b", Change.DOWN, "no_reply")]
    assert not bus.nobody_answers()


def test_a_bus_on_which_nobody_answers_is_silent_and_its_devices_are_not_down() -> None:
    """Two devices: three misses each; told once, and ended by the first that is heard."""
    bus = Bus(2)
    news = bus.miss("a", "b", "a", "b", "a")
    assert (news, bus.nobody_answers()) == ([], False)
    assert bus.miss("b") == []
    assert bus.nobody_answers()
    assert bus.silence.call_silent() == News("bus-1", Change.SILENT, "no_reply")
    assert not bus.nobody_answers()
    assert bus.miss(*"abababab") == []
    assert bus.down() == ()
    assert bus.hear("b") == [News("bus-1", Change.HEARD)]
    assert not bus.silence.silent


def test_who_stays_silent_when_the_bus_is_heard_again_is_called_down_by_misses_of_its_own() -> None:
    """What it missed with the others does not count."""
    bus = Bus(2)
    bus.miss(*"ababab")
    bus.silence.call_silent()
    bus.hear("b")
    assert bus.miss("a") == []
    bus.hear("b")
    assert bus.miss("a") == [DOWN]


def test_many_devices_need_one_miss_each() -> None:
    """Eight in a row are more than chance."""
    bus = Bus(8)
    bus.miss(*"abcdefg")
    assert not bus.nobody_answers()
    bus.miss("h")
    assert bus.nobody_answers()


def test_a_device_that_was_down_before_neither_counts_nor_comes_up_by_it() -> None:
    """The bus falls silent around it."""
    bus = Bus(3)
    bus.miss("a", "a")
    bus.hear("b")
    assert bus.miss("a") == [DOWN]
    bus.hear("b")
    bus.miss("a", "a", "a", "b", "c", "b", "c", "b")
    assert not bus.nobody_answers()
    bus.miss("c")
    assert bus.nobody_answers()
    bus.silence.call_silent()
    assert bus.down() == ("a",)
    assert bus.hear("a") == [News("bus-1", Change.HEARD), UP]


def test_a_bad_reply_of_anyone_is_the_better_hint() -> None:
    """Something is talking: the line settings may be wrong."""
    bus = Bus(2)
    bus.miss("a", cause="bad_reply")
    bus.miss(*"babab")
    bus.miss("a", cause="bad_reply")
    assert bus.silence.call_silent().cause == "bad_reply"


def test_a_miss_that_the_bus_cannot_be_the_reason_of_does_not_make_it_silent() -> None:
    """A device that makes the other end hang up."""
    bus = Bus(2)
    for _ in range(9):
        bus.now += SECOND
        for device in bus.devices:
            bus.silence.missed(device, min(device.groups), BootMs(bus.now), "link_down", by_bus=False)
    assert not bus.nobody_answers()
    assert not bus.unheard()


def test_a_bus_is_unheard_before_it_is_silent() -> None:
    """After the second miss running of a single device, after one each of several: never by one lost reply."""
    alone = Bus(1)
    alone.miss("a")
    assert not alone.unheard()
    alone.miss("a")
    assert alone.unheard()
    bus = Bus(3)
    bus.miss("a", "b")
    assert not bus.unheard()
    bus.miss("c")
    assert bus.unheard()
    bus.silence.doubt_anew(BootMs(bus.now))
    assert not bus.unheard()


def test_a_bus_is_opened_again_at_once_then_at_growing_intervals() -> None:
    """Doubling, bounded; somebody heard ends it; a bus that cannot be opened again is left alone."""
    anew = Reopening(possible=True)
    assert not anew.due(BootMs(0))
    now, waits = 0, []
    assert anew.comes_first
    for _ in range(7):
        anew.want()
        while not anew.due(BootMs(now)):
            now += SECOND
        waits.append(now)
        assert anew.happened(BootMs(now))
        assert not anew.comes_first
    gaps = [later - earlier for earlier, later in pairwise(waits)]
    assert gaps == [REOPEN_MS * 2**n for n in range(5)] + [REOPEN_MS_MAX]
    anew.want()
    anew.over()
    assert anew.comes_first
    assert not anew.due(BootMs(now))
    assert not anew.happened(BootMs(now))
    fixed = Reopening(possible=False)
    fixed.want()
    assert not fixed.due(BootMs(10**9))
    assert not fixed.comes_first
