"""gateway.south.schedule.tasks: the order of polls and of retries, and what became void."""

from math import ceil

from gateway.model import BootMs
from gateway.protocols.modbus_pdu import Table
from gateway.south.schedule.silence import Health
from gateway.south.schedule.tasks import Queue, Retries, Task, Tasked, tasked
from tests.support.south import a_bus, a_device, a_field


def _tasks(*dues: tuple[int, int]) -> list[Task]:
    """One device each, by when it is due and its period."""
    made = []
    for number, (due, period_ms) in enumerate(dues):
        site = a_device(f"d{number}", ([a_field(0)], period_ms))
        device = Tasked(site, Health(site.name, frozenset({number}), period_ms), 250)
        device.tasks.append(Task(number, device, site.polled[0], BootMs(due)))
        made += device.tasks
    return made


def test_of_those_that_are_due_the_earliest_deadline_comes_first() -> None:
    """Not the one that has been due for longest."""
    slow, fast, later = tasks = _tasks((0, 10_000), (50, 500), (900, 500))
    queue = Queue(tasks)
    assert queue.next_due(BootMs(-1)) == 0
    assert queue.take_ready(BootMs(-1)) is None
    assert queue.next_due(BootMs(100)) == 100
    assert [queue.take_ready(BootMs(100)) for _ in range(3)] == [fast, slow, None]
    assert queue.next_due(BootMs(100)) == 900
    assert queue.take_early(BootMs(100)) is later
    assert queue.take_early(BootMs(100)) is None


def test_only_what_is_next_anyway_goes_with_a_device() -> None:
    """Another device's task in front keeps it back."""
    first, second = tasks = _tasks((0, 500), (0, 1000))
    queue = Queue(tasks)
    assert queue.take_ready(BootMs(0), second.device) is None
    assert queue.take_ready(BootMs(0), first.device) is first
    assert queue.take_ready(BootMs(0), second.device) is second


def test_a_task_that_is_held_or_moved_is_where_it_was_put_last() -> None:
    """Older entries are passed over."""
    held, moved = tasks = _tasks((0, 500), (0, 1000))
    queue = Queue(tasks)
    held.misses = 1
    moved.waits_until = BootMs(700)
    queue.add(moved)
    assert queue.next_due(BootMs(0)) == 700
    assert queue.take_ready(BootMs(699)) is None
    assert queue.take_ready(BootMs(700)) is moved
    assert queue.next_due(BootMs(700)) is None
    held.misses = 0
    queue.add(held)
    assert queue.take_ready(BootMs(700)) is held


def test_retries_come_by_time_the_last_word_counts() -> None:
    """A device that was put off is not asked at its first time."""
    one, other = (task.device for task in _tasks((0, 500), (0, 500)))
    one.health.misses = other.health.misses = 1
    retries = Retries()
    retries.add(one, BootMs(100))
    retries.add(other, BootMs(200))
    retries.add(one, BootMs(300))
    assert retries.next_at() == 200
    (ready,) = retries.ready(BootMs(250))
    assert ready.device is other
    assert retries.next_at() == 300
    assert retries.take(ready) is other.tasks[0]
    assert [retry.device for retry in retries.ready(BootMs(300))] == [one]
    one.health.misses = 0
    assert retries.ready(BootMs(300)) == []
    assert retries.next_at() is None


def test_a_device_in_doubt_is_asked_as_a_whole_by_the_group_tried_least() -> None:
    """The retries of its groups count only while it is not."""
    site = a_device("d", ([a_field(0)], 1000), ([a_field(9)], 1000))
    device = Tasked(site, Health("d", frozenset({0, 1}), 1000), 250)
    device.tasks = [Task(at, device, polled, BootMs(0), BootMs(0)) for at, polled in enumerate(site.polled)]
    device.tasks[0].attempt = 1
    retries = Retries()
    retries.add(device.tasks[0], BootMs(0))
    device.health.misses = 1
    assert retries.ready(BootMs(0)) == []
    retries.add(device, BootMs(10))
    (ready,) = retries.ready(BootMs(10))
    assert retries.take(ready) is device.tasks[1]


def test_a_poll_that_is_being_made_is_not_dropped() -> None:
    """What passes meanwhile is counted when it has ended."""
    (task,) = _tasks((0, 500))
    task.running = True
    assert task.drop(BootMs(1700)) == 0
    task.running = False
    task.begun(BootMs(500))
    assert task.drop(BootMs(1700)) == 2
    assert (task.due, task.behind_ms, task.deadline) == (1500, 1000, 2000)


def test_who_lost_more_goes_first_until_nobody_waits() -> None:
    """One that comes back is as far behind as who was taken last, whatever passed while it was held."""
    lost, kept, held = tasks = _tasks((0, 500), (0, 500), (0, 500))
    queue = Queue(tasks)
    held.misses = 1
    assert queue.take_ready(BootMs(0)) is lost
    assert lost.drop(BootMs(1200)) == 2
    kept.begun(BootMs(500))
    queue.add(lost)
    queue.add(kept)
    held.misses, held.due, held.behind_ms = 0, BootMs(1000), 9000
    assert queue.take_ready(BootMs(1200)) is lost
    queue.add(held, anew=True)
    assert held.behind_ms == lost.behind_ms == 1000
    assert [queue.take_ready(BootMs(1200)) for _ in range(2)] == [held, kept]
    assert queue.next_due(BootMs(1200)) is None
    assert {task.behind_ms for task in tasks} == {0}


def test_a_device_is_laid_out_with_what_its_probe_takes_at_most() -> None:
    """Timeout, the longest read there can be on this line, a margin: registers and bits of its own map, not of any."""
    short = a_device("short", ([a_field(0), a_field(9)], 1000), timeout_ms=200)
    bits = a_device("bits", ([a_field(0, "bit", Table.COIL), a_field(159, "bit", Table.COIL)], 1000), timeout_ms=200)
    long = a_device("long", ([a_field(0), a_field(5000)], 1000), timeout_ms=200)
    devices = list(tasked(a_bus(short, bits, long), BootMs(0)))
    assert [device.probe_ms for device in devices] == [
        210 + ceil((13 + 2 * registers) * 10 / 9.6) for registers in (10, 10, 125)
    ]


def test_first_polls_are_spread_on_a_grid_and_never_after_their_time() -> None:
    """A quarter of a second where the period is one or more; groups of a device start together."""
    slow = [a_device(f"s{n}", ([a_field(0)], 1000), ([a_field(9)], 60_000)) for n in range(8)]
    fast = a_device("f", ([a_field(0)], 100))
    dues = [[task.due for task in device.tasks] for device in tasked(a_bus(*slow, fast), BootMs(1_000_100))]
    assert dues[0] == [1_000_000, 1_000_000]
    assert dues[7] == [1_000_750, 1_000_750]
    assert dues[8] == [1_000_188]
    assert all(len(set(due)) == 1 for due in dues)
