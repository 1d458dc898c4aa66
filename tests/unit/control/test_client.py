"""gateway.control.client: who cannot ask, and why."""

from pathlib import Path

import pytest

from gateway.control.client import NoAccess, NotRunning, SocketClient, first


async def test_a_socket_of_others_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`no_access`: starting the gateway would not help; it counts as one that does not run all the same."""

    async def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("asyncio.open_unix_connection", refused)
    with pytest.raises(NoAccess, match=r"control\.sock: Permission denied"):
        await first(SocketClient(tmp_path / "control.sock"), "status")
    assert issubclass(NoAccess, NotRunning)


async def test_no_socket_is_no_gateway(tmp_path: Path) -> None:
    """`not_running`, with its path."""
    with pytest.raises(NotRunning, match=r"control\.sock: No such file") as none:
        await first(SocketClient(tmp_path / "control.sock"), "status")
    assert none.value.code == "not_running"
