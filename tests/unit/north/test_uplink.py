"""The uplink: connects, survives every loss, moves, stops politely."""

import asyncio

from gateway.errors import Refused
from gateway.testing.broker import FakeConnection
from tests.support.backlog import GATEWAY
from tests.support.uplink import UplinkBench


async def test_a_lost_connection_is_told_and_replaced_and_nothing_is_lost() -> None:
    """What was out goes again at once on the next connection; the will told the IOC meanwhile."""
    bench = UplinkBench()
    async with bench.running():
        batches = [bench.backlog.append() for _ in range(3)]
        await bench.clock.advance(10)
        bench.broker.cut(GATEWAY)
        await bench.clock.advance(1)
        assert bench.statuses()[-1]["online"] is False
        assert not bench.is_up()
        await bench.clock.advance(3_000)
        assert bench.is_up()
        assert bench.statuses()[-1]["online"] is True
        assert [batch.id.seq for batch in bench.sent()] == [1, 2, 3, 1, 2, 3]
        await bench.answer(*batches)
        assert bench.backlog.pending == []
        # One event per code and minute: the second uplink_up is in the status only.
        assert [code for code in bench.codes() if code.startswith("uplink")] == ["uplink_up", "uplink_down"]


async def test_servers_are_tried_in_turn_with_growing_waits() -> None:
    """Down for an hour: both doors, at most 60 s apart, never in step with a clock."""
    bench = UplinkBench()
    bench.broker.down = True
    async with bench.running():
        await bench.clock.advance(3_600_000)
        hosts = [broker.host for broker in bench.broker.connects]
        assert hosts[:4] == ["ioc-1", "ioc-2", "ioc-1", "ioc-2"]
        assert 80 < len(hosts) < 300
        bench.broker.down = False
        await bench.clock.advance(61_000)
        assert bench.is_up()


async def test_a_refusal_is_told_with_its_reason_and_tried_again() -> None:
    """Bad certificate, banned, not authorised: the technician reads why in the status."""
    bench = UplinkBench()
    bench.broker.refusals.append(Refused(135, "Not authorized"))
    async with bench.running():
        assert bench.uplink.status.refusal == "Not authorized (135)"
        assert bench.codes() == ["uplink_refused"]
        await bench.clock.advance(3_000)
        assert bench.is_up()
        assert bench.uplink.status.refusal == ""


async def test_it_moves_back_to_the_first_server_without_a_break() -> None:
    """After 10 minutes on the second one it looks for the first beside the running session, then moves."""
    bench = UplinkBench()
    bench.broker.refusals.append(Refused(136, "Server unavailable"))
    async with bench.running():
        await bench.clock.advance(3_000)
        assert bench.uplink.status.server == "ioc-2:8883"
        bench.broker.refusals.append(Refused(136, "Server unavailable"))
        await bench.clock.advance(600_000)
        assert bench.uplink.status.server == "ioc-2:8883"
        await bench.clock.advance(601_000)
        assert bench.uplink.status.server == "ioc-1:8883"
        assert bench.is_up()
        batch = bench.backlog.append()
        await bench.clock.advance(10)
        await bench.answer(batch)
        assert bench.backlog.pending == []


async def test_a_cluster_that_ends_the_old_connection_at_the_move_is_no_takeover() -> None:
    """Both doors lead to one cluster, which takes the second connection for the first's end: used at once, no alarm."""
    bench = UplinkBench()
    bench.broker.refusals.append(Refused(136, "Server unavailable"))
    async with bench.running():
        await bench.clock.advance(3_000)
        assert bench.uplink.status.server == "ioc-2:8883"
        connects = len(bench.broker.connects)
        await bench.clock.advance(600_000)
        assert len(bench.broker.connects) == connects + 1
        assert bench.uplink.status.server == "ioc-1:8883"
        assert bench.is_up()
        assert "uplink_down" not in bench.codes()


async def test_two_takeovers_in_a_minute_are_an_alarm() -> None:
    """Somebody else has our identity; one takeover alone is our own late connection."""
    bench = UplinkBench()
    async with bench.running():
        bench.broker.cut(GATEWAY, 0x8E)
        await bench.clock.advance(5_000)
        assert bench.uplink.alarms == frozenset()
        bench.broker.cut(GATEWAY, 0x8E)
        await bench.clock.advance(5_000)
        assert "identity_used_twice" in bench.codes()
        assert bench.uplink.alarms == {"identity_used_twice"}
        await bench.clock.advance(700_000)
        assert bench.uplink.alarms == frozenset()


async def test_stop_sends_what_is_pending_says_offline_and_disconnects() -> None:
    """Receipts are awaited for 2 s; the last status is retained; no will."""
    bench = UplinkBench()
    connection: FakeConnection
    async with bench.running():
        connection = bench.connection
        batch = bench.backlog.append()
        bench.uplink.stop()
        await bench.clock.advance(500)
        assert bench.sent() != []
        assert bench.is_up()
        await bench.answer(batch)
        await bench.clock.advance(100)
        assert connection.closed_with == 0
    assert bench.backlog.pending == []
    assert bench.statuses()[-1]["online"] is False
    assert bench.statuses()[-1]["version"] == "1"  # a whole status, not the will


async def test_stop_is_bounded_when_nobody_answers() -> None:
    """Neither a silent IOC nor a silent broker holds it up for more than 3 s."""
    bench = UplinkBench()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(10)
        connection = bench.connection
        bench.broker.hold_pubacks = True
        bench.backlog.append()
        await bench.clock.advance(10)
        bench.uplink.stop()
        await bench.clock.advance(2_900)
        assert not run.done()
        await bench.clock.advance(200)
        assert run.done()
        assert connection.closed_with == 0


async def test_stop_while_the_servers_are_down_is_at_once() -> None:
    """It does not wait for the next try."""
    bench = UplinkBench()
    bench.broker.down = True
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(60_000)
        bench.uplink.stop()
        await bench.clock.advance(1)
        assert run.done()


async def test_a_cancelled_uplink_leaves_its_will() -> None:
    """Cancelled is not stopped: the IOC is told that it is offline."""
    bench = UplinkBench()
    async with asyncio.TaskGroup() as tasks:
        run = tasks.create_task(bench.uplink.run(), name="uplink")
        await bench.clock.advance(10)
        connection = bench.connection
        run.cancel()
    assert connection.closed_with == 4
    assert bench.statuses()[-1] == {"v": 1, "online": False, "boot": "b00t"}
