"""How much of a database's index one gateway may take."""

import pytest

from gateway.ioc.census import WEEK_MS, Census
from gateway.ioc.check import Accepted, DeadLetter, Document, Refuse, Verdict, check
from gateway.model import BatchId, BootMs, Event, Gap, Group, Origin, UtcMs
from gateway.seams import Message
from gateway.wire.topic import Topics
from tests.support.ioc import EPOCH, GATEWAY, ROOT, T0, make_batch, message, row

RELAYS = frozenset(("relay-1",))


def batch(seq: int, device: str = "meter-1", *, gateway: str = GATEWAY, epoch: str = EPOCH, t0: int = T0) -> Verdict:
    """A good batch with a row of one device: a name for its epoch, one for its series, one for its field."""
    group = Group(device, "energy_meter", "eastron/sdm630@1", ("voltage",), "f")
    return check(message(make_batch(seq, [row(0, group=group)], gateway=gateway, epoch=epoch, t0=t0)), ROOT, RELAYS, T0)


def test_what_is_known_passes_for_ever() -> None:
    """The same names again cost nothing."""
    census = Census(names_max=3)
    assert all(census.judge(batch(seq)) == batch(seq) for seq in range(1, 50))


def test_one_name_too_many_is_refused_and_the_others_go_on() -> None:
    """The batch is refused by name; what was known before still passes, and other gateways never notice."""
    census = Census(names_max=3)
    census.judge(batch(1))
    refused = census.judge(batch(2, "meter-2"))
    assert refused == Refuse(
        BatchId(GATEWAY, EPOCH, 2), "limit", "hc-0001 has named more than 3 devices, fields, epochs and events"
    )
    assert isinstance(census.judge(batch(3)), Accepted)
    assert isinstance(census.judge(batch(1, "meter-2", gateway="hc-0002")), Accepted)


@pytest.mark.parametrize("what", ["epoch", "event", "gap"])
def test_everything_that_becomes_a_tag_counts(what: str) -> None:
    """Not devices alone."""
    census = Census(names_max=20)
    verdicts = []
    for seq in range(1, 40):
        events = [Event(BootMs(0), f"s-{seq}", "told")] if what == "event" else []
        epoch = f"e-{seq}" if what == "epoch" else EPOCH
        made = make_batch(seq, [row(0), *events], epoch=epoch)
        if what == "gap":
            made = make_batch(seq, gaps=[Gap(f"e-{seq}", 1, 2, None, None, None, "quota")])
        verdicts.append(census.judge(check(message(made), ROOT, RELAYS, T0)))
    assert isinstance(verdicts[0], Accepted)
    assert isinstance(verdicts[-1], Refuse)


def test_weeks_are_bounded() -> None:
    """A clock that runs wild, or a stolen key, would make a shard for every week until 2223."""
    census = Census(weeks_max=5)
    verdicts = [census.judge(batch(n + 1, t0=T0 + n * WEEK_MS)) for n in range(7)]
    assert [type(verdict) for verdict in verdicts] == [Accepted] * 5 + [Refuse] * 2
    assert isinstance(census.judge(batch(9)), Accepted)


def test_a_relays_rows_count_for_the_original() -> None:
    """A relay may have hundreds behind it."""
    census = Census(names_max=6)
    for n in range(10):
        made = make_batch(n + 1, [row(0)], gateway="relay-1", origin=Origin(f"hc-{n}", "e", 1, 1, 0))
        assert isinstance(census.judge(check(message(made), ROOT, RELAYS, T0)), Accepted)


def test_keys_of_a_status_count() -> None:
    """Each unknown key of a status becomes a field of `gw_status`."""
    census, topic = Census(names_max=30), Topics(ROOT, GATEWAY).status
    known = b'{"v":1,"online":true,"time":1,"clock":"ntp","boot":"b","version":"1","epochs":[]'
    verdicts = [
        census.judge(check(Message(topic, known + b',"new_%d":1}' % n, 1, 1), ROOT, RELAYS, UtcMs(T0)))
        for n in range(40)
    ]
    assert isinstance(verdicts[0], Document)
    assert isinstance(verdicts[-1], DeadLetter)
    assert verdicts[-1].code == "limit"
