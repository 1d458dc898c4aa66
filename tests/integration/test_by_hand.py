"""A gateway that reaches nobody, its batches carried by hand: real processes, the command line as people type it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import cabinet
from tests.support.cabinet import WAIT_S
from tests.support.centre import Box, centre_in
from tests.support.chain import wait_until
from tests.support.servers import Mosquitto, free_port


def typed(*arguments: str | Path) -> tuple[int, str, str]:
    """`gateway ...`: exit status, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_the_whole_way_by_hand(tmp_path: Path) -> None:
    """EXP-1, IMP-1, EPOCH-4: looked at, verified, exported, renewed while it runs; imported; nothing is missing."""
    box = Box(tmp_path / "box", "hc-0001", free_port())
    spool, stick = tmp_path / "box" / "spool", tmp_path / "stick"
    stick.mkdir()
    at = ("--socket", spool / "control.sock")
    with box.running():
        wait_until(lambda: int(str(box.status().get("pending", 0))) >= 2, WAIT_S, "something that waits")
        code, said, _ = typed("spool", "status", *at, "--json")
        assert code == 0
        assert json.loads(said)["epochs"][0]["pending"] >= 2
        assert typed("spool", "verify", *at, "--lang", "vi")[0] == 0
        assert typed("spool", "export", stick / "a.jsonl", *at)[0] == 0
        assert typed("spool", "export", stick / "a.jsonl", *at)[0] == 2
        code, said, _ = typed("spool", "renew", *at, "--yes")
        assert (code, said[:11]) == (0, "New epoch: ")
        code, _, err = typed("spool", "status", "--spool", spool)
        assert (code, "pid" in err) == (4, True)
    code, said, _ = typed("spool", "export", stick / "b.jsonl", "--spool", spool)
    assert code == 0

    centre = tmp_path / "ioc.toml"
    centre.write_text(cabinet.ioc_text(free_port(), tmp_path))
    code, said, _ = typed("ioc", "import", stick / "a.jsonl", stick / "b.jsonl", "--file", centre)
    assert code == 0, said
    assert "refused 0" in said
    code, said, _ = typed("ioc", "audit", centre)
    assert code == 0, said
    assert "nothing unexplained" in said


def test_a_spool_in_use_that_nobody_answers_for(tmp_path: Path) -> None:
    """LOCK-1: exit 4 for the tools, and for a second daemon."""
    box = Box(tmp_path / "box", "hc-0001", free_port())
    with box.running():
        assert typed("spool", "verify", "--spool", tmp_path / "box" / "spool")[0] == 4
        code, err = box.refused()
        assert code == 4
        assert "spool_in_use" in err


@pytest.mark.server
@pytest.mark.timeout(120)
def test_the_centre_has_a_box_begin_a_new_epoch(tmp_path: Path) -> None:
    """EPOCH-4: as a command, where the site allows it; once for one id; the old epoch is stored to its end."""
    with Mosquitto(tmp_path) as broker, centre_in(tmp_path / "centre", broker) as centre:
        box = Box(tmp_path / "box", "hc-0001", broker.port)
        allowed = box.site.read_text().replace('id = "hc-0001"\n', 'id = "hc-0001"\ncommands = ["renew"]\n')
        box.site.write_text(allowed)
        asked = ("ioc", "command", "hc-0001", "renew", "--file", centre.folder / "ioc.toml", "--id", "c-1")
        with box.running() as status:
            old = str(status["epoch"])
            wait_until(lambda: box.status().get("pending") == 0, WAIT_S, "a receipt")
            code, said, err = typed(*asked)
            assert code == 0, err
            new = str(box.status()["epoch"])
            assert new != old
            assert f"c-1: Done, {old} -> {new}" in said
            code, said, err = typed(*asked)
            assert (code, "c-1: " in err + said) == (1, True)
            assert box.status()["epoch"] == new
        assert typed("ioc", "audit", centre.folder / "ioc.toml")[0] == 0
