"""Passwords from files and from systemd credentials."""

from pathlib import Path

import pytest

from gateway.app import secrets


def test_a_path_is_read_without_its_line_end(tmp_path: Path) -> None:
    """An editor's line end is no part of a password."""
    (tmp_path / "password").write_text("s3cret \n")
    assert secrets.read(str(tmp_path / "password")) == "s3cret "


def test_a_bare_name_is_a_systemd_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`LoadCredential=` puts it in $CREDENTIALS_DIRECTORY."""
    (tmp_path / "mqtt").write_text("s3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert secrets.read("mqtt") == "s3cret"


def test_what_cannot_be_read_is_named_and_not_shown(tmp_path: Path) -> None:
    """The error has the file's name and nothing of its content."""
    (tmp_path / "bad").write_bytes(b"\xff\xfes3cret")
    for name in ("bad", "absent"):
        with pytest.raises(secrets.SecretUnreadable, match=name) as raised:
            secrets.read(str(tmp_path / name))
        assert "s3cret" not in str(raised.value)
