"""What a device says of itself when asked by function 43/14 (Modbus V1.1b3, 6.21): made of its profile. Pure.

Vendor and product as the profile's id has them, the profile's version as the revision, its English title as the name.
Each text is short enough that all of them fit one reply.
"""

from gateway.profile.profile import Profile
from gateway.protocols.modbus_pdu import DeviceId, ReadDeviceId, encode_device_id

VENDOR, PRODUCT, REVISION, _URL, NAME, MODEL = range(6)
TEXT_BYTES_MAX = 40
LAST_OF_LEVEL = {1: REVISION, 2: 0x7F, 3: 0xFF}  # basic, regular, extended
ONE_OBJECT = 4
CONFORMITY = 0x82  # regular, as a stream or one by one


def identity_of(profile: Profile) -> dict[int, bytes]:
    """The objects of a model, by number."""
    vendor, _, rest = profile.ref.partition("/")
    product, _, version = rest.partition("@")
    name = dict(profile.title).get("en", product)
    texts = {VENDOR: vendor, PRODUCT: product, REVISION: version, NAME: name, MODEL: product}
    return {number: text.encode("ascii", "replace")[:TEXT_BYTES_MAX] for number, text in texts.items()}


def identified(objects: dict[int, bytes], request: ReadDeviceId) -> bytes | None:
    """The data of the reply; None where there is no such object. A stream that begins at one begins at the first."""
    if request.level == ONE_OBJECT:
        asked = {number: text for number, text in objects.items() if number == request.object_id}
        return _encoded(asked) if asked else None
    first = request.object_id if request.object_id in objects else 0
    last = LAST_OF_LEVEL[request.level]
    return _encoded({number: text for number, text in objects.items() if first <= number <= last})


def _encoded(objects: dict[int, bytes]) -> bytes:
    return encode_device_id(DeviceId(CONFORMITY, None, tuple(sorted(objects.items()))))
