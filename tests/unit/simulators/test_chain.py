"""simulators.chain: each simulated SunSpec device has a chain of its own, and the gateway's walk finds its model."""

import pytest

from gateway.model import UtcMs
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request, reply_data
from gateway.protocols.sunspec import COMMON, Answer, Here, Sunspec, walk
from simulators.chain import chained, layout
from simulators.device import ModbusDevice
from simulators.signals import Signal
from tests.support.sunspec import OFFSETS, WANTED, sunspec_device

NAMES = [f"sun-{n}" for n in range(40)]


def test_devices_differ() -> None:
    """In base, order and what stands between; one is the same at each start."""
    layouts = [layout(name, WANTED) for name in NAMES]
    assert len({(base, tuple(models)) for base, models in layouts}) > len(NAMES) / 2
    assert {base for base, _ in layouts} == set(WANTED.bases)
    assert layouts == [layout(name, WANTED) for name in NAMES]
    assert all(models[0][0] == COMMON for _, models in layouts)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_the_fields_stand_at_the_model_that_is_walked_to(nth: int) -> None:
    """Of several alike, at the one that is wanted."""
    wanted = Sunspec(WANTED.models, WANTED.length, nth)
    signal: Signal = lambda _: 7.0  # noqa: E731 - a signal is a callable
    for name in NAMES:
        fields: list[tuple[Field, Signal]] = [(field, signal) for field in sunspec_device(wanted).profile.fields]
        moved, rest = chained(name, fields, wanted)
        words = {one.address: int(one.low) for one in rest}
        answers: dict[ReadRequest, Answer] = {}
        while isinstance(step := walk(wanted, answers), ReadRequest):
            places = range(step.address, step.address + step.count)
            answers[step] = b"".join(words.get(at, 0).to_bytes(2) for at in places)
        assert isinstance(step, Here)
        assert [field.address for field, _ in moved] == [step.at + at for at in (*OFFSETS, 0, 1)]


def test_a_device_answers_from_its_chain() -> None:
    """The header is the model's, whatever else is simulated; the mark stands at the base."""
    device = sunspec_device()
    twin = ModbusDevice(device, {field.name: lambda _: 7.0 for field in device.profile.fields})
    base, _ = layout("m", WANTED)

    def words(address: int, count: int) -> bytes:
        request = ReadRequest(Table.HOLDING, address, count)
        return reply_data(request, twin.answer(encode_request(request), UtcMs(0)).data)

    assert words(base, 2) == b"SunS"
    fields, _ = chained("m", [(field, lambda _: 7.0) for field in device.profile.fields], WANTED)
    header = fields[len(OFFSETS)][0].address
    assert header is not None
    assert words(header, 3) == b"\0\x65\0\x32\0\7"
