"""gateway.box.modem: ModemManager's signal quality, by its own command."""

from pathlib import Path

import pytest

from gateway.box import modem
from gateway.box.modem import quality, signal_percent

ANSWER = '{"modem":{"generic":{"signal-quality":{"recent":"yes","value":"67"}}}}'


@pytest.mark.parametrize(
    ("answer", "percent"),
    [
        (ANSWER.encode(), 67.0),
        (b"", None),
        (b"error: couldn't find modem", None),
        (b"[]", None),
        (b'{"modem":{"generic":{}}}', None),
        (ANSWER.replace("67", "--").encode(), None),
        (ANSWER.replace("67", "101").encode(), None),
        (ANSWER.replace("67", "nan").encode(), None),
    ],
)
def test_an_answer_is_a_percentage_or_nothing(answer: bytes, percent: float | None) -> None:
    """Also for what is no answer at all."""
    assert quality(answer) == percent


async def test_the_command_is_asked(tmp_path: Path) -> None:
    """The first modem, as JSON."""
    command = tmp_path / "mmcli"
    command.write_text(f"#!/bin/sh\n[ \"$*\" = '--modem=any --output-json' ] && echo '{ANSWER}'\n")
    command.chmod(0o755)
    assert await signal_percent(command) == 67.0


async def test_no_command_is_no_modem(tmp_path: Path) -> None:
    """Most boxes have none."""
    assert await signal_percent(tmp_path / "mmcli") is None


async def test_a_command_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ModemManager that does not answer costs its time, and no process stays behind."""
    monkeypatch.setattr(modem, "TIMEOUT_S", 0.1)
    command = tmp_path / "mmcli"
    command.write_text("#!/bin/sh\nexec sleep 60\n")
    command.chmod(0o755)
    assert await signal_percent(command) is None
