"""gateway.protocols.sunspec: any chain, and anything that is no chain, is walked to a bound and to the right place."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.errors import DeviceException, NoReply
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.protocols.sunspec import BASES, MODELS_MAX, Answer, Here, Nowhere, Sunspec, walk
from gateway.south.reads.poll import Poller
from gateway.south.reads.seek import QUESTIONS
from gateway.testing.clock import FakeClock
from tests.support.polls import COST
from tests.support.sunspec import OFFSETS, ChainLink, answer, numbered, registers, sunspec_device, tag

WANTED = Sunspec((101, 102, 103), 50)
MODELS = st.one_of(
    st.tuples(st.sampled_from((101, 102, 103)), st.sampled_from((50, 50, 51))),
    st.tuples(st.sampled_from((1, 120, 160, 203, 64_901)), st.integers(1, 130)),
)
CHAINS = st.lists(MODELS, max_size=60).map(lambda models: [(1, 66), *models])
SHORT_CHAINS = st.lists(MODELS, max_size=6).map(lambda models: [(1, 66), *models])
ENDS = st.sampled_from(((0xFFFF, 0), (), (0, 0), (0xFFFF,), (64_901, 0), (64_901, 0xFFFF)))


@given(st.sampled_from(BASES), CHAINS, ENDS, st.integers(1, 3))
def test_a_place_is_that_of_the_model(base: int, models: list[tuple[int, int]], end: tuple[int, ...], nth: int) -> None:
    """Counted by hand; a model that begins beyond the bounds is not found, and nothing stands in for it."""
    wanted = Sunspec(WANTED.models, WANTED.length, nth)
    words = registers(base, models, end)
    at, places = base + 2, []
    for model, length in models[:MODELS_MAX]:
        if at + 2 + length > 0x10000:
            break
        places += [at] if model in wanted.models and length == wanted.length else []
        at += 2 + length
    found = _walked(wanted, words)
    assert found == Here(places[nth - 1]) if len(places) >= nth else isinstance(found, Nowhere)


@given(st.data())
def test_whatever_is_answered_it_ends_and_gives_no_other_place(data: st.DataObject) -> None:
    """Any bytes, any exception, silence: bounded, in rising addresses, and only at a header that is the model's."""
    answers: dict[ReadRequest, Answer] = {}
    header = st.sampled_from((b"\0\1\0\x42", b"\0\x67\0\x32", b"\0\x65\0\x32", b"\xfd\x85\0\7", b"\xff\xff\0\0"))
    likely = st.one_of(header, header, st.binary(min_size=4, max_size=4))
    while isinstance(step := walk(WANTED, answers), ReadRequest):
        mark = st.just(b"SunS") if step.count == 4 else st.just(b"")
        good = st.tuples(mark, likely).map(b"".join)
        answers[step] = data.draw(st.one_of(good, good, good, st.binary(max_size=9), st.integers(1, 11), st.none()))
        assert step.table is Table.HOLDING
        assert step.address + step.count <= 0x10000
        assert len(answers) <= len(BASES) + MODELS_MAX
    asked = [request.address for request in answers if request.count == 2]
    assert asked == sorted(set(asked))
    if isinstance(step, Here):
        model, length = _header_at(step.at, answers)
        assert WANTED.is_header(model, length)


@given(st.binary(min_size=512, max_size=512), st.sampled_from(BASES))
def test_a_chain_of_noise_gives_no_value_from_elsewhere(noise: bytes, base: int) -> None:
    """Random words behind the mark: where a place is given, the words there are the model's header."""
    words = {base + 2 + at: int.from_bytes(noise[2 * at : 2 * at + 2]) for at in range(256)}
    words |= dict(zip((base, base + 1, base + 2), (0x5375, 0x6E53, 1), strict=True))
    found = _walked(WANTED, words)
    if isinstance(found, Here):
        assert WANTED.is_header(words[found.at], words[found.at + 1])


def _walked(wanted: Sunspec, words: dict[int, int]) -> Here | Nowhere:
    answers: dict[ReadRequest, Answer] = {}
    while isinstance(step := walk(wanted, answers), ReadRequest):
        answers[step] = answer(words, step)
    return step


def _header_at(at: int, answers: dict[ReadRequest, Answer]) -> tuple[int, int]:
    for request, data in answers.items():
        if isinstance(data, bytes) and request.address + request.count - 2 == at:
            return int.from_bytes(data[-4:-2]), int.from_bytes(data[-2:])
    raise AssertionError("its header was never read")


@settings(deadline=None)
@given(st.data())
def test_a_poll_never_gives_a_value_from_elsewhere(data: st.DataObject) -> None:
    """Chains that change, break off and never end, lost and refused reads: a row is whole and of one such model."""
    asyncio.run(_polled(data))


async def _polled(data: st.DataObject) -> None:
    clock, link = FakeClock(), ChainLink({})
    device = sunspec_device(max_registers=data.draw(st.sampled_from((10, 60))))
    poller = Poller("bus-1", device, device.polled[0], COST, clock, Counters())
    failures = st.sampled_from((None, None, None, None, None, None, NoReply(), DeviceException(2), DeviceException(4)))
    link.fails = lambda _: data.draw(failures)
    for _ in range(data.draw(st.integers(1, 8))):
        models = data.draw(SHORT_CHAINS)
        link.words = numbered(data.draw(st.sampled_from(BASES)), models, data.draw(ENDS))
        for _ in range(data.draw(st.integers(1, 3))):
            link.asked.clear()
            outcome = await poller.poll(link, 2)
            assert len(link.asked) <= QUESTIONS + 4 * len(OFFSETS) + 4
            places = [n for n, model in enumerate(models) if WANTED.is_header(*model)]
            rows = [[tag(n, offset) for offset in OFFSETS] for n in places]
            if outcome.row is not None:
                got = outcome.row.values
                assert any(all(v in (None, w) for v, w in zip(got, row, strict=True)) for row in rows), (got, models)
            await clock.advance(61_000)
