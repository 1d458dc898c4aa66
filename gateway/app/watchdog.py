"""Tells systemd how we are: ready once, then well while the spool makes progress. No library: one datagram."""

import logging
import os
import socket
from collections.abc import Awaitable, Callable

from gateway.model import BootMs
from gateway.seams import Clock

_log = logging.getLogger(__name__)


def notify(message: str) -> None:
    """sd_notify(3); does nothing outside systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.sendto(message.encode(), address)
    except OSError as error:
        _log.warning("notify_failed error=%s", error)


async def watch(clock: Clock, progress: Callable[[], Awaitable[bool]]) -> None:
    """Feed WatchdogSec= at a third of its interval while `progress()` says so; returns at once where there is none."""
    interval_ms = int(os.environ.get("WATCHDOG_USEC", "0")) // 3000
    while interval_ms:
        if await progress():
            notify("WATCHDOG=1")
        else:
            _log.error("no_progress watchdog=withheld")
        await clock.sleep_until(BootMs(clock.boot_ms() + interval_ms))
