"""gateway status: what the technician sees."""

from typing import Any

from rich.console import Console

from gateway.cli.status import health

STATUS: dict[str, Any] = {
    "gw": "hc-0001",
    "version": "1.0.0",
    "alarms": [],
    "buses_down": [],
    "devices_down": [],
    "online": False,
    "refusal": "",
    "server": "ioc.example:8883",
    "clock": "ntp",
    "oldest_age_ms": None,
    "pending": 0,
}


def shown(**different: object) -> str:
    """As it stands on a wide screen, in English."""
    console = Console(width=200)
    with console.capture() as said:
        console.print(health(STATUS | different, "en"))
    return said.get()


def test_why_the_uplink_is_refused() -> None:
    """The cause, and by which server; brackets in it are text."""
    said = shown(refusal="certificate: revoked [not ours] (23)")
    assert "ioc.example:8883: certificate: revoked [not ours] (23)" in said
    assert "ioc.example" not in shown()


def test_whose_status_it_is() -> None:
    """Gateway and version stand above it."""
    assert "hc-0001  1.0.0" in shown()
