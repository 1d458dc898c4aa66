"""gateway ioc ingest | audit | command | import."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import TextIO

import orjson

from gateway.app import ingest as worker
from gateway.app.imports import FileUnreadable, Importer
from gateway.app.stores import open_store
from gateway.cli import audited, imported, recall
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.cli.progress import bar
from gateway.cli.read import said
from gateway.clock.kernel import SystemClock
from gateway.config.ioc import IocSettings, OperatorSettings, read_ioc, read_operator
from gateway.errors import Invalid, PeerError, StoreBusy
from gateway.ioc import audit as audits
from gateway.ioc import commander
from gateway.ioc.commander import GatewayOffline, NoOutcome
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.ledger import Account
from gateway.ioc.measured import Measured
from gateway.model import UtcMs
from gateway.mqtt.connection import PahoConnect
from gateway.text import words
from gateway.wire import checked
from gateway.wire.command import COMMAND_ID, Command, Outcome, encode_command
from gateway.wire.topic import Topics

EVER = (UtcMs(0), UtcMs(checked.UTC_MS_MAX))
NOTHING_KNOWN = 2
STORE_AWAY = 3
NOT_CARRIED_OUT = 1
WRONG_USE = 2
NO_ANSWER = 3
PATIENCE_S = 30.0  # behind the expiry: a command that was begun in time may take so long


def ingest(path: Path, name: str, lang: str = "en") -> int:
    """Until SIGTERM; exit 2 with every problem when the file is wrong."""
    settings = _settings(path, lang)
    return WRONG_FILE if settings is None else worker.main(settings, name)


@dataclass(frozen=True, slots=True)
class Look:
    """What an audit is to show, as it was typed."""

    gateway: str | None = None
    from_: str = ""
    to: str = ""
    json: bool = False


def audit(path: Path, look: Look, out: TextIO, lang: str = "en") -> int:
    """Exit 1 for unexplained batches, 2 for wrong words and unknown gateways, 3 when the store does not answer."""
    try:
        from_ms = recall.times(look.from_) if look.from_ else EVER[0]
        to_ms = recall.times(look.to) if look.to else EVER[1]
    except (ValueError, OverflowError, OSError):
        print(recall.TEXTS.get(lang, recall.TEXTS["en"])["time"].format(f"{look.from_} {look.to}"), file=sys.stderr)
        return WRONG_USE
    settings = _settings(path, lang)
    if settings is None:
        return WRONG_FILE
    try:
        accounts, measured = asyncio.run(_audit(settings, look, from_ms, to_ms))
    except StoreBusy as error:
        print(f"{words.title(error.code, lang)}: {error}\n{words.next_step(error, lang)}", file=sys.stderr)
        return STORE_AWAY
    if look.gateway is not None and not accounts:  # a slip in a name is no proof that nothing is missing
        print(audited.text_of(lang)["unknown"].format(look.gateway), file=sys.stderr)
        return NOTHING_KNOWN
    said = audited.document(accounts, measured).decode() if look.json else audited.text(accounts, measured, lang)
    print(said, file=out)
    return audits.exit_code(accounts)


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it was typed."""

    gateway: str
    name: str
    arguments: Sequence[str]  # key=value
    command_id: str = ""  # "" = a new one
    lasts_s: int = 60


def command(path: Path, order: Order, out: TextIO, lang: str = "en") -> int:
    """Exit 0 for ok, 1 for any other outcome, 2 for a wrong file or wrong words, 3 when no outcome came."""
    try:
        settings = read_operator(path)
    except Invalid as invalid:
        sys.stderr.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    clock = SystemClock("system")
    try:
        asked = _command(order, clock.utc_ms())
    except ValueError as error:
        print(said("bad_arguments", str(error), lang), file=sys.stderr)
        return WRONG_USE
    try:
        outcome = asyncio.run(_send(settings, order, asked, clock))
    except (PeerError, GatewayOffline, NoOutcome) as error:
        print(f"{asked.id}: {said(error.code, str(error), lang)}", file=sys.stderr)
        return NO_ANSWER
    print(outcome_text(outcome, lang), file=out)
    return 0 if outcome.ok else NOT_CARRIED_OUT


def outcome_text(outcome: Outcome, lang: str) -> str:
    """Which command, what became of it, what the device holds now; what to do where it was not carried out."""
    value = None if outcome.value is None else orjson.dumps(outcome.value).decode()
    facts = [outcome.detail, words.title(outcome.was, lang) if outcome.was else "", f"= {value}" if value else ""]
    detail = ", ".join(fact for fact in facts if fact)
    if outcome.ok:
        return f"{outcome.id}: {words.title(outcome.code, lang)}" + (f", {detail}" if detail else "")
    return f"{outcome.id}: {said(outcome.code, detail, lang)}"


def _command(order: Order, now: UtcMs) -> Command:
    """Raises ValueError for what no gateway would read."""
    if not checked.ID.fullmatch(order.gateway):
        raise ValueError(f"{order.gateway!r} is no gateway id")
    if not checked.WORD.fullmatch(order.name):
        raise ValueError(f"{order.name!r} is no command")
    command_id = order.command_id or f"c-{now}-{token_hex(4)}"
    if not COMMAND_ID.fullmatch(command_id):
        raise ValueError(f"{command_id!r} is no id of a command")
    arguments = dict(map(_argument, order.arguments))
    made = Command(command_id, UtcMs(now + order.lasts_s * 1000), order.name, arguments)
    encode_command(made)  # raises for one that is too large
    return made


def _argument(text: str) -> tuple[str, object]:
    """`value=0.25`: what is JSON is meant as it, anything else is a text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError(f"{text!r}: key=value")
    try:
        return key, orjson.loads(value)
    except orjson.JSONDecodeError:
        return key, value


async def _send(settings: OperatorSettings, order: Order, asked: Command, clock: SystemClock) -> Outcome:
    connect = PahoConnect(lambda: (clock.utc_ms(), UtcMs(0)))
    broker = replace(settings.broker, client_id=f"operator-{token_hex(4)}")
    topics = Topics(settings.root, order.gateway)
    return await commander.send(connect, broker, topics, asked, order.lasts_s + PATIENCE_S)


def import_files(path: Path, files: Sequence[Path], out: TextIO, lang: str) -> int:
    """Exit 0 when all is stored, 1 when something was refused, withheld or unreadable, 2 a wrong file, 3 no store."""
    settings = _settings(path, lang)
    if settings is None:
        return WRONG_FILE
    try:
        return asyncio.run(_import(settings, files, out, lang))
    except StoreBusy as error:
        print(f"{words.title(error.code, lang)}: {error}\n{words.next_step(error, lang)}", file=sys.stderr)
        return STORE_AWAY


async def _import(settings: IocSettings, files: Sequence[Path], out: TextIO, lang: str) -> int:
    clock = SystemClock("system")
    store, letters = open_store(settings.store, clock), DeadLetters(Path(settings.dead_letters))
    whole = True
    try:
        await store.ready()
        importer = Importer(settings, store, letters, clock, Random())  # noqa: S311 - spreads retries; no secret depends on it
        for file in files:
            try:
                with bar(file.name) as moved:
                    found = await importer.take(file, moved)
            except FileUnreadable as error:
                print(said(error.code, str(error), lang), file=sys.stderr)
                whole = False
                continue
            out.writelines(f"{line}\n" for line in imported.lines(found, lang))
            whole = whole and found.whole
    finally:
        await store.close()
        letters.close()
    return 0 if whole else imported.NOT_WHOLE


async def _audit(
    settings: IocSettings, look: Look, from_ms: UtcMs, to_ms: UtcMs
) -> tuple[list[Account], list[Measured]]:
    clock = SystemClock("system")
    store = open_store(settings.store, clock, writable=False)
    try:
        accounts = await audits.audit(store, look.gateway, clock.utc_ms(), settings.retention_days)
        if look.from_ or look.to:
            accounts = await audits.within(store, accounts, from_ms, to_ms)
        return accounts, await audits.measured(store, accounts, from_ms, to_ms)
    finally:
        await store.close()


def _settings(path: Path, lang: str) -> IocSettings | None:
    try:
        return read_ioc(path)
    except Invalid as invalid:
        sys.stderr.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return None
