"""gateway.box.life: boots are counted, and a start knows its cause."""

import pytest

from gateway.box.life import Life, begun, dumps, ended, loads


@pytest.mark.parametrize(
    ("known", "boot", "boots", "cause"),
    [
        (None, "a", 1, "first"),
        (Life("a", 4, stopped=True), "a", 4, "restart"),
        (Life("a", 4, stopped=False), "a", 4, "crash"),
        (Life("a", 4, stopped=True), "b", 5, "reboot"),
        (Life("a", 4, stopped=False), "b", 5, "power"),
    ],
)
def test_a_start_knows_its_cause(known: Life | None, boot: str, boots: int, cause: str) -> None:
    """By boot id and whether the last run stopped in order; this run has not yet."""
    life, why = begun(known, boot)
    assert (life, why) == (Life(boot, boots, stopped=False), cause)


def test_the_file_comes_back() -> None:
    """Written and read it is the same."""
    life = ended(Life("4f1c", 17, stopped=False))
    assert loads(dumps(life)) == life
    assert life.stopped


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v":2}', b'{"v":1,"boot":"a","boots":true,"stopped":true}', b"\xff"])
def test_what_is_no_life_is_refused(data: bytes) -> None:
    """A torn or foreign file is a ValueError, never a wrong count."""
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's own, or ours
        loads(data)
