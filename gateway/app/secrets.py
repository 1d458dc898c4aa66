"""Passwords stand in files of their own: a path, or the name of a systemd credential. Never in a log or a site."""

import os
from pathlib import Path

from gateway.errors import GatewayError

SECRET_BYTES_MAX = 4096


class SecretUnreadable(GatewayError):
    """A password file can't be read; names the file, never its content."""

    code = "secret_unreadable"


def read(name: str) -> str:
    """The secret without its line end; raises SecretUnreadable."""
    path = Path(name) if "/" in name else Path(os.environ.get("CREDENTIALS_DIRECTORY", ".")) / name
    try:
        with path.open("rb") as file:
            return file.read(SECRET_BYTES_MAX).decode().rstrip("\r\n")
    except OSError as error:
        raise SecretUnreadable(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SecretUnreadable(f"{path}: not UTF-8") from None  # the error itself carries the content
