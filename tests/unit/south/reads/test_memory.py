"""gateway.south.reads.memory: refusals, holes, limits, latencies; and all of that as JSON."""

from collections.abc import Sequence
from dataclasses import replace

import orjson
import pytest

from gateway.model import BootMs
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table
from gateway.site import Device
from gateway.south.reads.memory import (
    HOLES_MAX,
    LATENCIES,
    LATENCIES_NEW,
    REPROBE_MS,
    REPROBE_MS_MAX,
    Lesson,
    Memory,
    Wanted,
    memories,
)
from gateway.south.reads.plan import LineCost, Read, Span, halves
from tests.support.south import a_bus, a_device, a_field, a_site

COST = LineCost(1.0, 10.0, 5.0)
NOW = BootMs(1_000_000)
NEAR = [a_field(n) for n in range(8)]


def a_memory(fields: Sequence[Field]) -> Memory:
    """Of a device with one group."""
    return Memory(a_device("m", (fields, 1000)), COST)


def asked(memory: Memory, fields: Sequence[Field], now: BootMs = NOW) -> list[tuple[int, int]]:
    """Address and count of each read."""
    return [(read.request.address, read.request.count) for read in memory.reads(Wanted(fields), now)]


def visit(memory: Memory, fields: Sequence[Field], accepts: int, now: BootMs = NOW) -> list[tuple[int, int]]:
    """One poll of a device that refuses all reads of more than `accepts` registers; what it was asked."""
    queue, lesson = list(memory.reads(Wanted(fields), now)), Lesson(good := [], [], illegal := [])
    made: list[Read] = []
    while queue:
        read = queue.pop(0)
        made.append(read)
        if read.request.count <= accepts:
            good.append(read)
        else:
            illegal.append(read)
            queue = [*halves(read, fields), *queue]
    memory.learn(Wanted(fields), lesson, now)
    return [(read.request.address, read.request.count) for read in made]


def test_a_read_that_is_too_long_teaches_how_long_one_may_be() -> None:
    """Not one register less each time: the next poll asks for no more than what was answered."""
    fields = [a_field(n) for n in range(100)]
    memory = a_memory(fields)
    assert visit(memory, fields, accepts=30) == [
        (0, 100), (0, 50), (0, 25), (25, 25), (50, 50), (50, 25), (75, 25),
    ]  # fmt: skip
    assert visit(memory, fields, accepts=30) == [(0, 25), (25, 25), (50, 25), (75, 25)]
    later = BootMs(NOW + REPROBE_MS_MAX)
    assert visit(memory, fields, accepts=125, now=later) == [(0, 100)]
    assert visit(memory, fields, accepts=125, now=later) == [(0, 100)]


def test_a_limit_never_costs_a_field_that_is_longer() -> None:
    """A value of four registers is asked for as it is, whatever was learned of shared reads."""
    fields = [a_field(0), a_field(1), a_field(2, "u64")]
    memory = a_memory(fields)
    (one,), (whole,) = memory.reads(Wanted(fields[:1]), NOW), memory.reads(Wanted(fields), NOW)
    memory.learn(Wanted(fields), Lesson([one], [], [whole]), NOW)
    assert asked(memory, fields) == [(0, 1), (1, 1), (2, 4)]


def test_groups_of_one_device_share_what_was_learned() -> None:
    """What one group met, the other one reads around."""
    one, other = NEAR[:4], [*NEAR[4:6], a_field(12)]
    memory = a_memory(NEAR)
    (read,) = memory.reads(Wanted([a_field(7)]), NOW)
    memory.learn(Wanted([a_field(7)]), Lesson([], [], [read]), NOW)
    assert asked(memory, one) == [(0, 4)]
    assert asked(memory, other) == [(4, 2), (12, 1)]


def test_fields_of_one_register_share_its_fate() -> None:
    """Bits of a refused register are asked for again by one read, and none of them is forgotten."""
    bits = [replace(a_field(5), name=f"b{n}", bits=(n, 1)) for n in range(2)]
    memory = a_memory([a_field(4), *bits])
    (read,) = memory.reads(Wanted(bits[:1]), NOW)
    assert memory.learn(Wanted(bits[:1]), Lesson([], [], [read]), NOW) == {Span(Table.HOLDING, 5, 5)}
    assert asked(memory, [a_field(4), *bits]) == [(4, 1)]
    assert asked(memory, [a_field(4), *bits], BootMs(NOW + REPROBE_MS)) == [(4, 1), (5, 1)]


def test_a_field_that_covers_a_refused_register_is_not_given_up() -> None:
    """The first word of a value is refused for itself; the value was read, and is asked for at every poll."""
    word, value = a_field(0), a_field(0, "u32")
    memory = a_memory([word, value])
    (read,) = memory.reads(Wanted([value]), NOW)
    memory.learn(Wanted([value]), Lesson([read], [], []), NOW)
    (read,) = memory.reads(Wanted([word]), NOW)
    memory.learn(Wanted([word]), Lesson([], [], [read]), NOW)
    assert asked(memory, [word, value]) == [(0, 2)]


def test_a_latency_is_taken_up_when_it_matters() -> None:
    """After some replies; then only when the median has moved by half as much again."""
    memory = a_memory(NEAR)
    assert [memory.timed(20.0) for _ in range(LATENCIES_NEW)] == [False] * (LATENCIES_NEW - 1) + [True]
    assert memory.cost == LineCost(1.0, 10.0, 20.0)
    assert (memory.latency_ms, a_memory(NEAR).latency_ms) == (30.0, None)
    assert not any(memory.timed(28.0) for _ in range(2 * LATENCIES))
    assert memory.cost.latency_ms == 20.0
    assert sum(memory.timed(31.0) for _ in range(2 * LATENCIES)) == 1
    assert memory.cost.latency_ms == 32.0


@pytest.mark.parametrize(
    ("measured", "used"), [(0.0, 0.0), (0.2, 0.0), (2.2, 2.0), (9.4, 10.0), (30.0, 32.0), (290.0, 320.0)]
)
def test_latencies_that_are_alike_are_one(measured: float, used: float) -> None:
    """Steps of a quarter of the power of two below, at least half a ms: plans of equal devices are shared."""
    memory = a_memory(NEAR)
    assert any(memory.timed(measured) for _ in range(LATENCIES_NEW))
    assert memory.cost.latency_ms == used


def test_odd_slow_replies_change_nothing() -> None:
    """A third of them take a second."""
    memory = a_memory(NEAR)
    for n in range(90):
        memory.timed(1000.0 if n % 3 == 2 else 20.0)
    assert memory.cost.latency_ms == 20.0


def test_a_measured_latency_changes_the_plan() -> None:
    """A device that takes long to answer is asked for a wide gap at once; a quick one in two reads."""
    fields = [a_field(0), a_field(20)]
    quick, slow = a_memory(fields), a_memory(fields)
    for _ in range(LATENCIES_NEW):
        quick.timed(1.0)
        slow.timed(50.0)
    assert asked(quick, fields) == [(0, 1), (20, 1)]
    assert asked(slow, fields) == [(0, 21)]


def test_the_time_of_all_reads_is_modelled() -> None:
    """13 characters and two registers, 15 ms beside."""
    assert a_memory(NEAR).cost_ms(Wanted([a_field(0), a_field(1)]), NOW) == pytest.approx(13 + 4 + 15)


def test_what_is_remembered_is_bounded() -> None:
    """The oldest hole goes."""
    fields = [a_field(200 * n) for n in range(2 * HOLES_MAX)] + [a_field(200 * n + 2) for n in range(2 * HOLES_MAX)]
    memory = a_memory(fields)
    memory.learn(Wanted(fields), Lesson([], [], memory.reads(Wanted(fields), NOW)), NOW)
    holes = memory.dump(NOW)["holes"]
    assert isinstance(holes, list)
    assert len(holes) == HOLES_MAX


def taught(device: Device) -> Memory:
    """A memory with something of everything."""
    memory = Memory(device, COST)
    whole = memory.reads(Wanted(NEAR), NOW)[0]
    parts = [memory.reads(Wanted([field]), NOW)[0] for field in NEAR]
    memory.learn(Wanted(NEAR[:1]), Lesson([parts[0]], [], []), NOW)
    memory.learn(Wanted(NEAR[1:2]), Lesson([], [], [parts[0]]), NOW)
    memory.learn(Wanted(NEAR), Lesson([], [], [whole]), NOW)
    for _ in range(LATENCIES_NEW):
        memory.timed(20.0)
    return memory


def test_what_is_dumped_is_loaded() -> None:
    """Through JSON, at another time of another boot: what is left of each wait is the same."""
    device = a_device("m", (NEAR, 1000))
    memory, again = taught(device), Memory(device, COST)
    later, anew = BootMs(NOW + 10_000), BootMs(500)
    plain = orjson.loads(orjson.dumps(memory.dump(later)))
    assert again.load(plain, anew)
    assert again.dump(anew) == memory.dump(later)
    assert again.cost == memory.cost
    assert asked(again, NEAR, anew) == asked(memory, NEAR, later)
    assert again.changes == 0


def test_nothing_is_told_twice_over_a_restart() -> None:
    """A field that was refused before is refused still."""
    fields = [a_field(0)]
    device = a_device("m", (fields, 1000))
    memory, again = Memory(device, COST), Memory(device, COST)
    lesson = Lesson([], [], memory.reads(Wanted(fields), NOW))
    assert memory.learn(Wanted(fields), lesson, NOW)
    again.load(memory.dump(NOW), NOW)
    assert again.learn(Wanted(fields), lesson, NOW) == frozenset()


@pytest.mark.parametrize("other", [{"unit_id": 2}, {"profile": "test/thing@2"}, {"variant": "x10"}, {"device": "n"}])
def test_another_device_forgets(other: dict[str, object]) -> None:
    """Another profile or unit_id under the same name is another device."""
    device = a_device("m", (NEAR, 1000))
    again = Memory(device, COST)
    assert not again.load({**taught(device).dump(NOW), **other}, NOW)
    assert asked(again, NEAR) == [(0, 8)]


def test_addresses_that_no_field_has_are_dropped() -> None:
    """The profile was edited under the same version: what is left of it is kept."""
    device, smaller = a_device("m", (NEAR, 1000)), a_device("m", (NEAR[1:], 1000))
    again = Memory(smaller, COST)
    assert again.load(taught(device).dump(NOW), NOW)
    assert again.dump(NOW)["once"] == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("once", None),
        ("once", [["input", 0]]),
        ("once", [["nowhere", 0, 1]]),
        ("once", [["input", 0, True]]),
        ("refused", [["input", 0, 1]]),
        ("refused", [["input", 0, 1, 1, "x"]]),
        ("holes", [["input", 0, 1, -5]]),
        ("holes", [["input", 0, 1, 5]] * 5000),
        ("limit", 7),
        ("limit", [7]),
        ("latency_ms", "fast"),
        ("latency_ms", -1),
    ],
)
def test_damage_is_refused_and_takes_nothing(key: str, value: object) -> None:
    """A disk is not trusted to give back what was written."""
    device = a_device("m", (NEAR, 1000))
    again = Memory(device, COST)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        again.load({**taught(device).dump(NOW), key: value}, NOW)
    assert asked(again, NEAR) == [(0, 8)]


def test_every_modbus_device_of_a_site_has_one() -> None:
    """By its name, which no other has."""
    bus = a_bus(a_device("m", (NEAR, 1000)), a_device("n", (NEAR, 1000), unit_id=2))
    assert list(memories(a_site(bus))) == ["m", "n"]
