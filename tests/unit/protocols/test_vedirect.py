"""gateway.protocols.vedirect: blocks, what is between them, and both sides of a visit."""

import pytest

from gateway.errors import NoReply
from gateway.protocols.plugin import SerialProtocol
from gateway.protocols.rehearsal import Said, device, recorded, rehearse
from gateway.protocols.vedirect import PROTOCOL, block_of, labels

BLOCK = block_of({"V": "12810", "I": "-10", "PID": "0xA05F", "LOAD": 1})
HISTORY = block_of({"H1": "-72330", "H2": ""})


def _heard(*blocks: bytes) -> tuple[Said, ...]:
    return tuple(Said(ours=False, data=block) for block in blocks)


def test_it_is_a_protocol() -> None:
    """It has no address and no neighbour."""
    assert isinstance(PROTOCOL, SerialProtocol)
    PROTOCOL.check("", ("V", "SER#"))
    assert PROTOCOL.alone("")
    for address, parts in (("1", ()), ("", ("TOOLONGLABEL",)), ("", ("Checksum",))):
        with pytest.raises(ValueError, match=r"label|address"):
            PROTOCOL.check(address, parts)


def test_a_block_is_taken_apart() -> None:
    """Texts, hex numbers, switches."""
    assert labels(BLOCK) == {"V": "12810", "I": "-10", "PID": 0xA05F, "LOAD": 1}
    assert labels(block_of({"LOAD": 0, "T": "", "TTG": "-1"})) == {"LOAD": 0, "T": "", "TTG": ""}


@pytest.mark.parametrize("at", range(1, len(BLOCK)))
def test_a_torn_block_is_none(at: int) -> None:
    """Whatever is lost from its front: either its sum is wrong, or it does not begin with a line."""
    assert labels(BLOCK[at:]) is None


def test_a_label_that_comes_twice_spoils_the_block() -> None:
    """Two torn blocks can add up to 0."""
    twice = b"\r\nV\t1\r\nV\t2\r\nChecksum\t"
    assert labels(twice + bytes((-sum(twice) & 0xFF,))) is None


@pytest.mark.parametrize("at", range(len(BLOCK) - len(b"Checksum\t?") - 1))
def test_a_hex_frame_may_stand_anywhere(at: int) -> None:
    """It is not in the sum."""
    assert labels(BLOCK[:at] + b":7F0ED0071\n" + BLOCK[at:]) == labels(BLOCK)


def test_a_checksum_that_is_a_colon_is_no_hex_frame() -> None:
    """The byte may be any."""
    blocks = (block_of({"V": "~" * n, "I": str(m)}) for n in range(32) for m in range(10))
    block = next(block for block in blocks if block.endswith(b":"))
    assert labels(block) is not None


def test_a_visit_takes_blocks_until_all_is_told() -> None:
    """A battery monitor sends two in turn; a torn one is passed over."""
    found, _ = rehearse(PROTOCOL.poll("", ("V", "H1")), recorded(_heard(BLOCK[3:], HISTORY, BLOCK, HISTORY)))
    assert (found["V"], found["H1"]) == ("12810", "-72330")


def test_a_visit_ends_with_what_the_model_has() -> None:
    """A label that never comes costs one more block, not the visit."""
    found, said = rehearse(PROTOCOL.poll("", ("V", "IL")), recorded(_heard(*4 * [BLOCK])))
    assert "IL" not in found
    assert found["V"] == "12810"
    assert len(said) <= 4


def test_silence_is_no_reply() -> None:
    """Nothing, or nothing whole."""
    for blocks in ((), (BLOCK[3:],)):
        with pytest.raises(NoReply):
            rehearse(PROTOCOL.poll("", ("V",)), recorded(_heard(*blocks)))


def test_the_twin_says_what_it_is_told() -> None:
    """By itself, again and again."""
    found, said = rehearse(PROTOCOL.poll("", ("V", "LOAD")), device(PROTOCOL, "", {"V": "13", "LOAD": "0", "T": ""}))
    assert (found["V"], found["LOAD"], found["T"]) == ("13", 0, "")
    assert not any(one.ours for one in said)


def test_what_fits_into_no_line_is_not_said() -> None:
    """A label of nine, a value of thirty-three, a line end in it."""
    for told in ({"LABELNINE": "1"}, {"V": "9" * 33}, {"V": "1\r\n"}):
        with pytest.raises(ValueError, match="fit"):
            block_of(told)
