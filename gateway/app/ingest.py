"""ioc-ingest@.service: one worker, built from ioc.toml. No state of its own: run as many as you like."""

import asyncio
import logging
import os
import signal
from dataclasses import replace
from pathlib import Path
from random import Random

from gateway.app import log, watchdog
from gateway.app.stores import open_store
from gateway.clock.kernel import SystemClock
from gateway.config.ioc import IocSettings
from gateway.counters import Counters
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.ingest import Ingest
from gateway.model import UtcMs
from gateway.mqtt.connection import PahoConnect

OURS_ALONE = 0o077  # files of ours are nobody else's, also where no unit says UMask=

_log = logging.getLogger(__name__)


def main(settings: IocSettings, name: str) -> int:
    """Until SIGTERM or SIGINT; a broker or database that is away is waited for."""
    os.umask(OURS_ALONE)
    log.start(f"ingest/{name}")
    asyncio.run(_run(settings, name))
    return 0


async def _run(settings: IocSettings, name: str) -> None:
    clock, counters = SystemClock("system"), Counters()
    store, letters = open_store(settings.store, clock), DeadLetters(Path(settings.dead_letters))
    ingest = Ingest(
        replace(settings.broker, client_id=name),
        settings.root,
        PahoConnect(lambda: (clock.utc_ms(), UtcMs(0))),
        store,
        clock,
        counters,
        Random(),  # noqa: S311 - spreads reconnects; no secret depends on it
        name,
        letters,
        settings.relays,
        settings.accept,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ingest.stop)
    watchdog.notify("READY=1")
    _log.info("started broker=%s:%d store=%s", settings.broker.host, settings.broker.port, settings.store.url)
    try:
        async with asyncio.TaskGroup() as tasks:
            fed = tasks.create_task(watchdog.watch(clock, _moves), name="watchdog")
            await ingest.run()
            fed.cancel()
    finally:
        await store.close()
        letters.close()
        for counted, labels, value in counters:
            _log.info("counted name=%s labels=%s value=%g", counted, labels, value)


async def _moves() -> bool:
    """The loop turns; a store that is away is no reason to be started again."""
    return True
