"""What a device says of itself."""

import pytest

from gateway.profile.profile import Line, ModbusSource, Profile
from gateway.protocols.modbus_pdu import ReadDeviceId, device_id, encode_reply, reply_data
from simulators.identity import identified, identity_of

TITLE = (("en", "X7 meter, " + "very " * 20 + "long"), ("vi", "Công tơ"))
OBJECTS = identity_of(Profile("acme/x7@3", "energy_meter", TITLE, "guess", (), ModbusSource(Line(), 1)))


def objects(level: int, first: int = 0) -> dict[int, str]:
    """As a client reads them."""
    request = ReadDeviceId(level, first)
    data = identified(OBJECTS, request)
    assert data is not None
    found = device_id(reply_data(request, encode_reply(request, data)))
    assert (found.conformity, found.next_object) == (0x82, None)
    return {number: text.decode() for number, text in found.objects}


def test_it_is_made_of_the_profile() -> None:
    """Vendor, product and revision; regular adds the names, cut to fit one reply."""
    assert objects(1) == {0: "acme", 1: "x7", 2: "3"}
    assert objects(2) == objects(3) == {0: "acme", 1: "x7", 2: "3", 4: TITLE[0][1][:40], 5: "x7"}


def test_one_object_or_a_stream_that_begins_at_one() -> None:
    """A stream that begins at no object begins at the first; one object alone must be there."""
    assert objects(4, 1) == {1: "x7"}
    assert objects(2, 4) == {4: TITLE[0][1][:40], 5: "x7"}
    assert objects(1, 3) == objects(1)
    assert identified(OBJECTS, ReadDeviceId(4, 3)) is None


@pytest.mark.parametrize("level", [1, 2, 3])
def test_every_level_fits_one_reply(level: int) -> None:
    """253 bytes of pdu."""
    data = identified(OBJECTS, ReadDeviceId(level))
    assert data is not None
    assert len(data) + 3 <= 253
