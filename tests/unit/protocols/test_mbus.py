"""gateway.protocols.mbus: frames, what a telegram tells, both sides of a visit, and the page that shows how."""

import re
from pathlib import Path

import pytest

from gateway.errors import BadReply, NoReply
from gateway.profile.load import load
from gateway.protocols.framing import encode
from gateway.protocols.mbus import LONG, PROTOCOL, short, telegram_of, told_in
from gateway.protocols.plugin import SerialProtocol
from gateway.protocols.rehearsal import Said, device, recorded, rehearse

PAGE = Path(__file__).parent.parent.parent.parent / "docs" / "how-to" / "read-m-bus-meters.md"
GWF = bytes.fromhex(
    "68 1B 1B 68 08 01 72 07 20 18 00 E6 1E 35 07 4C 00 00 00 0C 78 07 20 18 00 0C 16 69 02 00 00 96 16"
)
VOLUME = "Volume m3"


def _telegram(*records: str, status: int = 0, control: int = 0x08) -> bytes:
    head = bytes((control, 1)) + bytes.fromhex("72 45 23 11 70 93 15 0A 07 02") + bytes((status, 0, 0))
    body = head + b"".join(bytes.fromhex(record) for record in records)
    return encode(LONG, bytes((0x68, len(body), len(body), 0x68)) + body)


def _visit(telegram: bytes, address: str = "1") -> object:
    exchange = [
        Said(ours=True, data=short(0x40, address)),
        Said(ours=False, data=b"\xe5"),
        Said(ours=True, data=short(0x7B, address)),
        Said(ours=False, data=telegram),
    ]
    return rehearse(PROTOCOL.poll(address, (VOLUME, "status")), recorded(exchange))[0]


def test_it_is_a_protocol() -> None:
    """Primary addresses; whoever is there has to be alone."""
    assert isinstance(PROTOCOL, SerialProtocol)
    PROTOCOL.check("250", (VOLUME, "Volume flow m3.h-1", "Flow temperature Cel", "status"))
    assert PROTOCOL.alone("254")
    assert not PROTOCOL.alone("1")
    for address, parts in (("0", ()), ("251", ()), ("", ()), ("x", ()), ("1", ("volume",))):
        with pytest.raises(ValueError, match=r"254|unit"):
            PROTOCOL.check(address, parts)


def test_a_captured_telegram() -> None:
    """A GWF water meter: 269 m3, nothing wrong with it."""
    assert _visit(GWF) == {VOLUME: "269", "status": 0}
    assert _visit(GWF, "254") == {VOLUME: "269", "status": 0}
    assert short(0x40, "1").hex(" ") == "10 40 01 41 16"


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (["0C 13 67 45 23 01"], "1234.567"),
        (["4C 13 67 45 23 01"], None),  # as it was at a due date
        (["0C 13 67 45 23 01", "0C 13 01 00 00 00"], None),
        (["8C 10 13 67 45 23 01"], None),  # of a tariff
        (["1C 13 67 45 23 01"], None),  # the highest so far
        (["0C 06 67 45 23 01"], None),
    ],
)
def test_only_what_is_measured_now_and_once_is_told(records: list[str], told: str | None) -> None:
    """Not history, not a maximum, not one of two."""
    assert told_in(_telegram(*records, status=4)).get(VOLUME) == told
    assert told_in(_telegram(*records, status=4))["status"] == 4


def test_what_is_not_whole_is_a_bad_reply() -> None:
    """Digits that are none, a record that is cut: nothing of the telegram is believed."""
    for record in ("0C 13 FF FF FF FF", "0C 13 67 45"):
        with pytest.raises(BadReply):
            told_in(_telegram("0C 3B 00 00 00 00", record))


def test_what_is_no_answer_is_passed_over() -> None:
    """Another address, two lengths, a frame that is a master's; a bad sum."""
    for telegram in (
        GWF[:5] + b"\x02" + GWF[6:-2] + bytes((GWF[-2] + 1, 0x16)),
        GWF[:2] + b"\x1a" + GWF[3:],
        _telegram(control=0x53),
        GWF[:-3] + b"\x01" + GWF[-2:],
    ):
        with pytest.raises(NoReply):
            _visit(telegram)


def test_the_twin_says_what_it_is_told() -> None:
    """With records of its own; by its own address."""
    told = {VOLUME: "1234.567", "Energy W.h": "78000", "Volume flow m3.h-1": "-0.5", "status": "4"}
    found, _ = rehearse(PROTOCOL.poll("7", tuple(told)), device(PROTOCOL, "7", told))
    assert {part: float(str(value)) for part, value in found.items()} == {
        part: float(value) for part, value in told.items()
    }
    with pytest.raises(NoReply):
        rehearse(PROTOCOL.poll("8", tuple(told)), device(PROTOCOL, "7", told))
    for part, value in (("Phase deg", "1"), (VOLUME, "9999999999")):
        with pytest.raises(ValueError, match=r"no record|fit"):
            telegram_of(1, {part: value})


def test_the_profile_of_the_page_is_proved_by_its_vector(tmp_path: Path) -> None:
    """As a person would copy it."""
    profile, vectors = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "water.toml").write_text(profile, "utf-8")
    (tmp_path / "acme" / "water.vectors.toml").write_text(vectors, "utf-8")
    assert list(load([tmp_path]).profiles) == ["acme/water@1"]
