"""`gateway.wire.documents`: a status that always fits and never makes less pending than there is."""

from dataclasses import replace
from typing import Any

import orjson

from gateway.model import SeqRanges, UtcMs
from gateway.wire import documents, status_reader
from gateway.wire.documents import EpochStatus, NorthStatus, SouthStatus, SpoolStatus, Status, UplinkStatus, WatchStatus

NOTHING = SeqRanges()
EVERY_SECOND = SeqRanges(tuple((seq, seq) for seq in range(1, 20_001, 2)))


def status(*epochs: EpochStatus, **changes: Any) -> Status:
    """A status with these epochs."""
    whole = Status(
        gateway="hc-0001",
        version="1.0.0",
        boot="5f0c2e7a",
        time=UtcMs(1_795_484_390_240),
        clock="ntp",
        online=True,
        south=SouthStatus(),
        spool=SpoolStatus("k3v9x2", epochs, 3, None, 1, 0),
        north=NorthStatus(True, "ioc:8883", 0, 0, None, "receipt"),
    )
    return replace(whole, **changes)


def read(message: Status) -> dict[str, Any]:
    """What an IOC stores of it."""
    return status_reader.decode_status(documents.encode_status(message))


def epoch(name: str, pending: SeqRanges = NOTHING, parked: SeqRanges = NOTHING) -> EpochStatus:
    """An epoch with these seqs waiting."""
    return EpochStatus(name, 1, 20_000, pending, parked)


def test_epochs_come_back_as_they_were() -> None:
    """W-62: what an audit needs, exactly, while it is short."""
    kept = (epoch("a", SeqRanges(((3, 4), (7, 7)))), epoch("b", SeqRanges(((1, 1),)), SeqRanges(((1, 1),))))
    assert status_reader.epochs_of(read(status(*kept))) == kept


def test_many_ranges_are_joined() -> None:
    """W-63: at most 32, which hold every pending seq."""
    (found,) = status_reader.epochs_of(read(status(epoch("a", EVERY_SECOND, EVERY_SECOND))))
    for ranges in (found.pending, found.parked):
        assert len(ranges.ranges) == 32
        assert EVERY_SECOND.minus(ranges) == NOTHING


def test_the_nearest_are_joined_first() -> None:
    """W-63: the wide holes stay."""
    seqs = SeqRanges(((1, 1), (3, 3), (100, 100), (103, 103), (500, 500)))
    assert documents.narrowed(seqs, 3).ranges == ((1, 3), (100, 103), (500, 500))
    assert documents.narrowed(seqs, 1).ranges == ((1, 500),)
    assert documents.narrowed(seqs, 5) is seqs


def test_a_status_always_fits() -> None:
    """W-64: hundreds of broken epochs, devices and alarms, and yet 64 KiB; what is left out is counted."""
    epochs = tuple(epoch(f"epoch-{at:04}-{'x' * 20}", EVERY_SECOND, EVERY_SECOND) for at in range(300))
    down = tuple(f"device-{at:04}-{'x' * 16}" for at in range(1000))
    message = documents.encode_status(
        status(
            *epochs,
            south=SouthStatus(down, down),
            alarms=tuple(f"alarm_{at}_{'x' * 60}" for at in range(500)),
            watch=WatchStatus(
                tuple((name, "f" * 64, "l" * 32) for name in down),
                down,
                tuple((name, "maintenance", "\x01" * 200, UtcMs(8_000_000_000_000)) for name in down),
            ),
            extra={f"newer_{at}": "x" * 200 for at in range(64)},
        )
    )
    assert len(message) <= documents.MAX_STATUS_BYTES
    found: Any = status_reader.decode_status(message)
    assert (found["epochs_n"], len(found["epochs"])) == (300, documents.MAX_EPOCHS)
    assert (found["devices_down_n"], len(found["devices_down"])) == (1000, documents.MAX_NAMES)
    assert len(found["alarms"]) == documents.MAX_ALARMS
    assert (found["alarms_on_n"], len(found["alarms_on"])) == (1000, documents.MAX_ALARMS_ON)
    assert (found["maintenance_n"], len(found["maintenance"])) == (1000, documents.MAX_WORKS)
    assert len(found["fast"]) == documents.MAX_NAMES


def test_epochs_with_something_pending_are_named_first() -> None:
    """W-64: an epoch that is not named has nothing pending, so those that have come first."""
    epochs = (epoch("old", SeqRanges(((5, 5),))), *(epoch(f"e{at}") for at in range(400)))
    named = [each.epoch for each in status_reader.epochs_of(read(status(*epochs)))]
    assert named[0] == "old"
    assert named[-1] == "e399"
    assert len(named) == documents.MAX_EPOCHS


def test_texts_of_the_status_are_cleaned() -> None:
    """W-5: a broker's refusal with a line break is no reason to lose the status."""
    found = read(status(north=NorthStatus(False, "x", 0, 0, None, "receipt", "not\nauthorised")))
    assert found["refusal"] == "not authorised"


def test_a_negative_age_is_none() -> None:
    """A wall clock that was set back makes no negative age."""
    found = read(status(spool=SpoolStatus("k3v9x2", (), 1, -5, 1, 0)))
    assert found["oldest_age_ms"] == 0


def test_how_long_an_outage_may_last_is_told_where_it_is_known() -> None:
    """W-60: and how far back the archive reaches; a key is left out where nothing is known."""
    known = replace(status().spool, outage_left_ms=86_400_000, archive_ms=0)
    told = read(status(spool=known))
    assert (told["outage_left_ms"], told["archive_ms"]) == (86_400_000, 0)
    assert not {"outage_left_ms", "archive_ms"} & read(status()).keys()


def test_the_will_is_no_more_than_offline() -> None:
    """W-61: an IOC takes three values of it, whatever else is in it."""
    will = documents.encode_will("5f0c2e7a")
    assert will == b'{"v":1,"online":false,"boot":"5f0c2e7a"}'
    extended = orjson.loads(will) | {"pending": 0, "newer": 1}
    assert status_reader.decode_status(orjson.dumps(extended)) == {"v": 1, "online": False, "boot": "5f0c2e7a"}
    assert status_reader.epochs_of(status_reader.decode_status(will)) == ()


def test_an_offline_status_is_a_whole_one() -> None:
    """W-60: a clean shutdown says all it knows, not as a will does."""
    found = read(status(epoch("a"), online=False))
    assert found["online"] is False
    assert len(status_reader.epochs_of(found)) == 1


def test_scalars_of_a_newer_version_are_kept() -> None:
    """W-65: what is no known key, a word and a scalar; a known key is never replaced."""
    found = read(status(extra={"fans": 2, "Bad key": 1, "nested": {"a": 1}, "text": "a\nb", "gw": "other"}))
    assert found["fans"] == 2
    assert found["text"] == "a b"
    assert found["gw"] == "hc-0001"
    assert "nested" not in found
    assert "Bad key" not in found


def test_each_uplink_is_told() -> None:
    """Names, what waits, what is through, what is parked; a status without them is as good."""
    second = UplinkStatus("telegraf", "json", "puback", True, 7, 120, 1, "not\nyou", ("nobody_subscribes",))
    found = read(status(uplinks=(second,)))
    assert found["uplinks"] == [
        {
            "name": "telegraf",
            "format": "json",
            "settle": "puback",
            "connected": True,
            "pending": 7,
            "settled": 120,
            "parked": 1,
            "refusal": "not you",
            "alarms": ["nobody_subscribes"],
        }
    ]
    assert "uplinks" not in read(status())
