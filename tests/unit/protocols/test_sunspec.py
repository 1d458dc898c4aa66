"""gateway.protocols.sunspec: where a model stands in a chain, and what is asked for that."""

from collections.abc import Mapping, Sequence

import pytest

from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.protocols.sunspec import MODELS_MAX, Answer, Here, Nowhere, Sunspec, walk
from tests.support.sunspec import answer, registers

INVERTER = Sunspec((101, 102, 103), 50)
METER = Sunspec((201, 202, 203, 204), 105)
COMMON, VENDOR = (1, 66), (64_901, 7)


def walked(words: Mapping[int, int], wanted: Sunspec = INVERTER) -> tuple[Here | Nowhere, list[ReadRequest]]:
    """Where it ends, and what was asked."""
    answers: dict[ReadRequest, Answer] = {}
    while isinstance(step := walk(wanted, answers), ReadRequest):
        answers[step] = answer(words, step)
    return step, list(answers)


def place(models: Sequence[tuple[int, int]], wanted: Sunspec = INVERTER, base: int = 40_000) -> Here | Nowhere:
    """Of the model in a chain of these."""
    return walked(registers(base, models), wanted)[0]


def test_the_usual_device_takes_two_questions() -> None:
    """The mark comes with the first header; the next one stands behind the common model."""
    end, asked = walked(registers(40_000, [COMMON, (103, 50)]))
    assert end == Here(40_070)
    assert asked == [ReadRequest(Table.HOLDING, 40_000, 4), ReadRequest(Table.HOLDING, 40_070, 2)]


@pytest.mark.parametrize("base", [40_000, 0, 50_000])
def test_each_base_is_found(base: int) -> None:
    """In the order 40000, 0, 50000; where there is no mark, the next one is asked."""
    assert place([(1, 65), (101, 50)], base=base) == Here(base + 2 + 67)


def test_models_come_in_any_order() -> None:
    """A maker's model and others of SunSpec before it move it by their lengths."""
    assert place([COMMON, VENDOR, (160, 48), (102, 50), (120, 26)]) == Here(40_070 + 9 + 50)
    assert place([COMMON, (120, 26), (102, 50), VENDOR]) == Here(40_070 + 28)


def test_one_of_several_is_counted() -> None:
    """Each meter of a device has a common model before it."""
    models = [COMMON, (103, 50), COMMON, (203, 105), COMMON, (201, 105)]
    first = 40_070 + 52 + 68
    assert place(models, METER) == Here(first)
    assert place(models, Sunspec(METER.models, 105, nth=2)) == Here(first + 107 + 68)
    assert place(models, Sunspec(METER.models, 105, nth=3)) == Nowhere(tuple(models))


def test_a_model_of_another_length_is_not_it() -> None:
    """Its layout is not the one that is known."""
    assert place([COMMON, (103, 52)]) == Nowhere((COMMON, (103, 52)))


@pytest.mark.parametrize(
    ("models", "seen"),
    [
        ([(103, 50)], ()),
        ([COMMON, (0, 0), (103, 50)], (COMMON,)),
        ([COMMON, (64_901, 0), (103, 50)], (COMMON,)),
        ([COMMON, (64_901, 0xFFFE), (103, 50)], (COMMON,)),
        ([COMMON], (COMMON,)),
    ],
    ids=["no common model", "model 0", "no length", "beyond the table", "not there"],
)
def test_what_is_no_chain_has_no_place(models: list[tuple[int, int]], seen: tuple[tuple[int, int], ...]) -> None:
    """Nothing behind what cannot be true is believed."""
    assert place(models) == Nowhere(seen)


def test_a_chain_that_breaks_off_has_no_place() -> None:
    """Without an end mark, the next header is refused."""
    assert walked(registers(40_000, [COMMON, VENDOR], end=()))[0] == Nowhere((COMMON, VENDOR))


def test_a_long_chain_is_walked_to_a_bound() -> None:
    """MODELS_MAX of them; a model beyond is not found."""
    end, asked = walked(registers(0, [COMMON, *[VENDOR] * MODELS_MAX, (103, 50)]))
    assert isinstance(end, Nowhere)
    assert len(end.seen) == MODELS_MAX
    assert len(asked) == 1 + MODELS_MAX  # 40000, and one for each header


def test_silence_leaves_it_open() -> None:
    """What was not answered may still be there."""
    words = registers(0, [COMMON])
    answers: dict[ReadRequest, Answer] = {ReadRequest(Table.HOLDING, base, 4): None for base in (40_000, 50_000)}
    answers[first := ReadRequest(Table.HOLDING, 0, 4)] = 2
    assert walk(INVERTER, answers) == Nowhere((), unsure=True)
    answers |= {first: answer(words, first), ReadRequest(Table.HOLDING, 70, 2): None}
    assert walk(INVERTER, answers) == Nowhere((COMMON,), unsure=True)
