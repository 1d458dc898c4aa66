"""gateway ioc ingest | audit."""

import asyncio
import sys
from pathlib import Path
from typing import TextIO

from gateway.app import ingest as worker
from gateway.app.stores import open_store
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.clock.kernel import SystemClock
from gateway.config.ioc import IocSettings, read_ioc
from gateway.errors import Invalid, StoreBusy
from gateway.ioc import audit as audits
from gateway.ioc.ledger import Account
from gateway.text import words

NOTHING_KNOWN = 2
STORE_AWAY = 3


def ingest(path: Path, name: str, lang: str = "en") -> int:
    """Until SIGTERM; exit 2 with every problem when the file is wrong."""
    settings = _settings(path, lang)
    return WRONG_FILE if settings is None else worker.main(settings, name)


def audit(path: Path, gateway: str | None, out: TextIO, lang: str = "en") -> int:
    """Exit 1 for unexplained batches, 2 for a gateway that nothing is known of, 3 when the store does not answer."""
    settings = _settings(path, lang)
    if settings is None:
        return WRONG_FILE
    try:
        accounts = asyncio.run(_accounts(settings, gateway))
    except StoreBusy as error:
        print(f"{words.title(error.code, lang)}: {error}\n{words.next_step(error, lang)}", file=sys.stderr)
        return STORE_AWAY
    if gateway is not None and not accounts:  # a slip in a name is no proof that nothing is missing
        print(f"nothing is known of {gateway}", file=sys.stderr)
        return NOTHING_KNOWN
    print(audits.text(accounts), file=out)
    return audits.exit_code(accounts)


async def _accounts(settings: IocSettings, gateway: str | None) -> list[Account]:
    clock = SystemClock("system")
    store = open_store(settings.store, clock, writable=False)
    try:
        return await audits.audit(store, gateway, clock.utc_ms(), settings.retention_days)
    finally:
        await store.close()


def _settings(path: Path, lang: str) -> IocSettings | None:
    try:
        return read_ioc(path)
    except Invalid as invalid:
        sys.stderr.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return None
