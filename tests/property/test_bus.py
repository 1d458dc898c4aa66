"""gateway.south.bus on a line where everything goes wrong: no wrong value, no poll lost uncounted, all comes back."""

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Row
from tests.support.faulty_line import FaultyLine

FAULTY_MS, HEALED_MS = 90_000, 120_000
CLIENT_MS = 1000  # what one exchange of a client may hold up polls
BARS_MAX = 64


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["rtu", "tcp", "rtu_over_tcp"]), st.integers(0, 2**32), st.sampled_from([0.0, 0.05, 0.2, 0.5, 0.8])
)
def test_whatever_goes_wrong(transport: str, seed: int, faulty: float) -> None:
    """Late, torn and garbled replies, exceptions, dead devices, lost ports, clients that ask between and walk away."""
    line = FaultyLine(transport, seed, faulty)
    asyncio.run(line.play(FAULTY_MS, HEALED_MS))
    assert line.wrong == []
    _check_rows(line)
    assert line.accounts.due() == line.accounts.made_or_missed()
    assert len(line.loop._late._bars) < BARS_MAX


def _check_rows(line: FaultyLine) -> None:
    """Each value is of its device and field; times rise; at the end every group has all that its device has."""
    groups: dict[object, list[Row]] = {polled.group: [] for device in line.devices for polled in device.polled}
    for row in line.rows:
        groups[row.group].append(row)
        for name, value in zip(row.group.fields, row.values, strict=True):
            assert value is None or _source(int(value)) == (row.group.device, name)
    for device in line.devices:
        for polled in device.polled:
            rows = groups[polled.group]
            refused = line.refused.get(device.unit_id)
            have = [one.address is not None and refused not in (one.address, one.address + 1) for one in polled.fields]
            assert all(earlier.at < later.at for earlier, later in pairwise(rows))
            if any(have):
                assert [value is not None for value in rows[-1].values] == have
                assert rows[-1].at > line.ended - 2 * polled.period_ms - CLIENT_MS


def _source(value: int) -> tuple[str, str]:
    """The device and the field that a value says it is of."""
    return f"d{value >> 6 & 63}", f"holding_{2 * (value & 63)}"
