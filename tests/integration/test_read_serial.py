"""`gateway read` of serial devices that are asked, with real processes: beside a running gateway, and alone.

Of both kinds, declared and with a protocol module, at a port and behind a converter. What a person sees is what the
device said, as its own log tells; the polls go on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.test_simulators import head, simulators
from tests.support.chain import Command, wait_until

pytestmark = [pytest.mark.timeout(120)]
REFS = {"gill/windsonic-polled@1": 9600, "generic/dlt645-2007@1": 2400, "lufft/ws-umb@1": 19200}  # and their baud
WAIT_S = 40.0


def _site(folder: Path, ends: Mapping[str, str]) -> str:
    text = head(folder)
    for number, (ref, baud) in enumerate(REFS.items()):
        for name in (f"host-{number}", f"port-{number}"):
            where = (
                f'port = "{folder}/{name}"\nline = "{baud} 8N1"'
                if name.startswith("port")
                else f'host = "{ends.get(name, "127.0.0.1:0")}"'
            )
            text += f'[[bus]]\nname = "{name}"\n{where}\n'
            text += f'[[device]]\nname = "at-{name}"\nbus = "{name}"\nprofile = "{ref}"\nevery = "1s"\n'
    return text


def _read(folder: Path, device: str) -> tuple[int, dict[str, object], str]:
    """Exit status, value by field, and what was said beside it."""
    options = ["--json", "--site", str(folder / "gateway.toml"), "--socket", str(folder / "spool" / "control.sock")]
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "read", device, *options],
        capture_output=True, check=False, timeout=60, env=dict(os.environ), stdin=subprocess.DEVNULL,
    )  # fmt: skip
    fields = json.loads(done.stdout)["fields"] if done.stdout else []
    return done.returncode, {field["field"]: field["value"] for field in fields}, done.stderr.decode()


def _said(folder: Path) -> set[tuple[str, str, object]]:
    lines = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
    return {(line["device"], line["field"], line["value"]) for line in lines if "field" in line}


def test_what_is_read_is_what_the_device_said_beside_a_gateway_and_alone(tmp_path: Path) -> None:
    """Exit 0, all fields; nothing is read twice as fast by it, and nothing is lost."""
    (tmp_path / "site.toml").write_text(_site(tmp_path, {}))
    devices = [f"at-{kind}-{number}" for number in range(len(REFS)) for kind in ("host", "port")]
    with simulators(tmp_path / "site.toml", "--seed", "3") as endpoints:
        (tmp_path / "gateway.toml").write_text(_site(tmp_path, endpoints))
        gateway = Command(tmp_path, "gateway", "gateway", "run", str(tmp_path / "gateway.toml"))
        gateway.start()
        try:
            wait_until((tmp_path / "spool" / "control.sock").exists, WAIT_S, "the gateway")
            beside = {device: _read(tmp_path, device) for device in devices}
        finally:
            gateway.stop()
        alone = {device: _read(tmp_path, device) for device in devices}

        def logged() -> bool:
            told = _said(tmp_path)
            seen = [
                (device, *one)
                for found in (beside, alone)
                for device, (_, values, _) in found.items()
                for one in values.items()
            ]
            return all(value is None or (device, field, value) in told for device, field, value in seen)

        wait_until(logged, WAIT_S, "what the devices said")
    for found, runs in ((beside, True), (alone, False)):
        for device, (status, values, err) in found.items():
            assert status == 0, (device, runs, values, err)
            assert values
            assert ("does not run" in err) is not runs
