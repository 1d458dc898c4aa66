"""The embedded store reads lines as strictly as influxd."""

import pytest

from gateway.ioc.store.point import Point, parse


def test_a_line() -> None:
    """Tags sorted, values typed, time in ns."""
    found = parse(b'kind,b=2,a=x\\ y v=1.5,on=t,n=7i,s="q \\"x\\" \\\\" 12', "ms")
    tags = (("a", "x y"), ("b", "2"))
    assert found == Point("kind", tags, {"v": 1.5, "on": True, "n": 7, "s": 'q "x" \\'}, 12_000_000)
    assert type(found.fields["n"]) is int


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"kind",
        b"kind v=1.0",
        b"kind v=1.0 ",
        b"kind v=NaN 1",
        b"kind v=inf 1",
        b"kind v=1e999 1",
        b"kind v=5u 1",
        b"kind v= 1",
        b"kind =1 1",
        b'kind v="open 1',
        b"kind,a v=1.0 1",
        b"kind,a=1,a=2 v=1.0 1",
        b"kind v=1.0 1.5",
        b"kind v=1.0 1 2",
        b"kind v=1.0 99999999999999999999",
        b"kind v=1.0\nkind v=2.0 1",
        b"kind v=\xff 1",
    ],
)
def test_what_is_no_line(line: bytes) -> None:
    """Is a ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of them: the words are for logs
        parse(line, "ms")


def test_a_time_that_ms_push_out_of_range() -> None:
    """Nanoseconds must fit 64 bits."""
    parse(b"k v=1.0 9223372036854", "ms")
    with pytest.raises(ValueError, match="range"):
        parse(b"k v=1.0 9223372036855", "ms")
