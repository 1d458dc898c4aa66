"""A program of the box hands readings in, and the box reads itself: the real daemon, killed with SIGKILL."""

import asyncio
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

from gateway.control.client import SocketClient
from gateway.errors import GatewayError
from gateway.wire import body_reader
from tests.integration.test_by_hand import typed
from tests.support.cabinet import WAIT_S
from tests.support.centre import Box
from tests.support.chain import wait_until
from tests.support.servers import free_port

PROFILE = """[profile]
id = "acme/tide"
version = 1
kind = "tide"
title = { en = "Tide model", vi = "Mô hình thủy triều" }
sources = ["ours"]
confidence = "ours"
[local]
[fields]
level = { quantity = "water_level", unit = "m", decimals = 2, range = [-5, 5], every = "fast" }
"""
SITE = """[box]
every = "1s"
[[bus]]
name = "programs"
mode = "push"
[[device]]
name = "tide"
bus = "programs"
profile = "acme/tide@1"
"""


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    """`gateway push` returns 0 when it is on disk: a kill right behind it loses none. A row of the box is there too."""
    box = _box(tmp_path)
    box.daemon.start()
    try:
        pushed = tmp_path / "box" / "spool" / "push.sock"
        wait_until(pushed.exists, WAIT_S, "the socket")
        levels = [round(0.5 + n / 100, 2) for n in range(5)]
        for level in levels:
            code, said, err = typed("push", "tide", f"level={level}", "--socket", pushed)
            assert (code, said) == (0, "tide is on disk\n"), err
        code, _, err = typed("push", "tide", "depth=1", "--socket", pushed, "--lang", "vi")
        assert (code, "depth" in err) == (1, True)
        assert typed("push", "tide", "level", "--socket", pushed)[0] == 2
        wait_until(lambda: "box" in _rows(box), WAIT_S, "a row of the box")
        of_box = _rows(box)["box"]
    finally:
        box.daemon.kill()
    assert of_box["values"]["boots"] == 1.0
    assert of_box["values"]["restart_cause"] == "first"
    assert of_box["values"]["disk_free"] > 0
    assert of_box["quality"]["modem_signal"] == "not_fitted"
    kept = _exported(tmp_path)
    assert [level for level in kept if level in levels] == levels


def test_a_start_after_a_kill_knows_it(tmp_path: Path) -> None:
    """Killed in the same boot: `crash`; stopped in order: `restart`."""
    box = _box(tmp_path)
    causes = []
    for end in (box.daemon.kill, box.daemon.stop, box.daemon.stop):
        box.daemon.start()
        try:
            wait_until(lambda: "box" in _rows(box), WAIT_S, "a row of the box")
            causes.append(_rows(box)["box"]["values"]["restart_cause"])
            end()
        finally:
            box.daemon.kill()
    assert causes == ["first", "crash", "restart"]


def _box(folder: Path) -> Box:
    box = Box(folder / "box", "hc-0001", free_port())
    (box.profiles / "acme" / "tide.toml").write_text(PROFILE)
    box.site.write_text(box.site.read_text() + SITE)
    return box


def _rows(box: Box) -> dict[str, Any]:
    """The newest of each device, as the technician sees them."""
    socket = SocketClient(box.folder / "spool" / "control.sock")

    async def asked() -> dict[str, Any]:
        return {row["device"]: row async for row in socket.ask("rows") if isinstance(row, dict)}

    try:
        return asyncio.run(asked())
    except GatewayError:
        return {}


def _exported(folder: Path) -> list[float]:
    """The levels that are on the disk, in their order."""
    stick = folder / "stick"
    stick.mkdir()
    code, _, err = typed("spool", "export", stick / "a.jsonl", "--spool", folder / "box" / "spool")
    assert code == 0, err
    batches = [json.loads(line) for line in (stick / "a.jsonl").read_text().splitlines()]
    bodies = [body_reader.decode(each["header"]["enc"], b64decode(each["body"])) for each in batches]
    groups = [group for body in bodies for group in body.groups if group.group.device == "tide"]
    return [float(values[0] or 0) for group in groups for _, values in group.rows]
