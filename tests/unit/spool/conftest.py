"""What several tests of the spool stand on."""

from collections.abc import Iterator

import pytest

from tests.support.failing_disk import FailingDisk


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    """A disk to be broken."""
    made = FailingDisk()
    with made.patched():
        yield made
