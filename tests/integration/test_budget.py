"""Bytes a month: what a daemon sends and gets over TLS, counted at a proxy, against the figure of `gateway plan`."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.uplink import NETWORKS, OFF, measured_on

BATCHES = {"wired": 20, "mobile": 2}


@pytest.mark.server
@pytest.mark.timeout(180)
def test_the_plan_is_right_within_ten_per_cent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a wired and on a mobile network, by the bytes of a batch, its receipt and what is around them."""
    with ThreadPoolExecutor(len(NETWORKS)) as pool:
        asked = {name: pool.submit(measured_on, tmp_path / name, name, BATCHES[name]) for name in NETWORKS}
        found = {name: measured.result() for name, measured in asked.items()}
    with capsys.disabled():
        print("", *(f"{name}: {measured.text()}" for name, measured in found.items()), sep="\n")
    for name, measured in found.items():
        assert abs(measured.off) <= OFF, f"{name}: {measured.text()}"
