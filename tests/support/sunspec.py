"""Chains of SunSpec models as registers, and a device that answers from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gateway.errors import DeviceException
from gateway.profile.profile import LENGTH_FIELD, MODEL_FIELD
from gateway.protocols.modbus_pdu import ILLEGAL_ADDRESS, ReadRequest, Request, Table
from gateway.protocols.sunspec import Answer, Sunspec
from gateway.site import Device
from gateway.south.links.link import PLAIN, Manner, Reply
from tests.support.south import a_device, a_field

MARK = (0x5375, 0x6E53)
END = (0xFFFF, 0)


def registers(base: int, models: Sequence[tuple[int, int]], end: Sequence[int] = END) -> dict[int, int]:
    """The mark, each (id, length) with a body of zeros, and what ends it; nothing behind the last address."""
    words = [*MARK]
    for model, length in models:
        words += [model, length, *[0] * length]
    return {base + at: word for at, word in enumerate([*words, *end]) if base + at <= 0xFFFF}


def answer(words: Mapping[int, int], request: ReadRequest) -> Answer:
    """The data, or exception 2 where one of the registers is not there."""
    places = range(request.address, request.address + request.count)
    if request.table is not Table.HOLDING or any(at not in words for at in places):
        return ILLEGAL_ADDRESS
    return b"".join(words[at].to_bytes(2) for at in places)


WANTED = Sunspec((101, 102, 103), 50)
OFFSETS = (2, 10, 20)  # of the fields of `sunspec_device`


def numbered(base: int, models: Sequence[tuple[int, int]], end: Sequence[int] = END) -> dict[int, int]:
    """As `registers`, with a body that says of which model it is, and how far behind its header it stands."""
    words, at = registers(base, models, end), base + 2
    for number, (_, length) in enumerate(models):
        words |= {at + n: tag(number, n) for n in range(2, length + 2) if at + n in words}
        at += length + 2
    return words


def tag(number: int, offset: int) -> int:
    """What stands in that register of the model of this number."""
    return 200 * number + offset


def sunspec_device(wanted: Sunspec = WANTED, max_registers: int = 125) -> Device:
    """Three values in one group, read with the model's header."""
    fields = [a_field(at, name=f"at_{at}") for at in OFFSETS]
    header = [replace(a_field(at, name=name), hidden=True) for at, name in enumerate((MODEL_FIELD, LENGTH_FIELD))]
    device = a_device("m", (fields, 1000), sunspec=wanted, max_registers=max_registers)
    polled = replace(device.polled[0], fields=(*fields, *header))
    profile = replace(device.profile, fields=(*fields, *header))
    return replace(device, profile=profile, polled=(polled,))


class ChainLink:
    """`poll.Guarded`: one device that has these registers. A failure in `fails` comes instead of that answer."""

    def __init__(self, words: Mapping[int, int]) -> None:
        self.words = words
        self.asked: list[tuple[int, int]] = []  # (address, count)
        self.fails: Callable[[ReadRequest], Exception | None] = lambda _: None
        self.bars: dict[int, int] = {}  # address -> until ns

    async def request(self, unit_id: int, request: Request, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        """At once."""
        assert isinstance(request, ReadRequest)
        assert unit_id
        assert deadline_ns
        assert manner
        self.asked.append((request.address, request.count))
        if (failure := self.fails(request)) is not None:
            raise failure
        data = answer(self.words, request)
        if not isinstance(data, bytes):
            raise DeviceException(ILLEGAL_ADDRESS)
        return Reply(data, 0, 1, 2)

    def barred(self, unit_id: int, request: Request) -> int | None:
        """By `bars`."""
        assert unit_id
        assert isinstance(request, ReadRequest)
        return self.bars.get(request.address)
