"""Brings settled batches back from the gateways: sends what errands ask for, records what is no longer kept.

    audit -> errands --command resend--> gateways ~~data~~> ingest -> ledger --looked at--> errands
                     <------outcome----- not_kept -> ledger

Nothing is kept here: who starts again asks the audit again. The broker may go away in between; until the time is over
it is tried again. A store that does not answer is looked at later.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from gateway.errors import ConnectionLost, GatewayError, Malformed, Refused, StoreBusy
from gateway.ioc.commander import FAILURE, NO_SUBSCRIBERS
from gateway.ioc.errand import Ask, Errand
from gateway.ioc.store.base import Store
from gateway.model import BootMs, UtcMs
from gateway.seams import Broker, Clock, Connect, Connection, Message
from gateway.wire import command as wire_command
from gateway.wire import status_reader
from gateway.wire.command import Command
from gateway.wire.line_protocol import not_kept_points
from gateway.wire.topic import Topics, gateway_of

STEP_MS: Final = 500
LOOK_MS: Final = 2_000
LOOK_SHARE: Final = 5  # a look that takes long is repeated so much later: a city's ledger is not asked without pause
RECONNECT_MS: Final = 2_000
RECORDED_AT_ONCE: Final = 500


class Recaller:
    """Runs errands; `new_id` makes ids of commands, `tell` hears of every look."""

    def __init__(
        self,
        connect: Connect,
        broker: Broker,
        root: str,
        store: Store,
        clock: Clock,
        new_id: Callable[[], str],
        tell: Callable[[Sequence[Errand]], None],
    ) -> None:
        self._connect, self._broker, self._root = connect, broker, root
        self._store, self._clock, self._new_id, self._tell = store, clock, new_id, tell

    async def run(self, errands: Sequence[Errand], until: BootMs, expires: UtcMs) -> None:
        """Until all errands are over, or it is `until`.

        Raises Refused, StoreRefused, and ConnectionLost when not even the first connection came up.
        """
        connection: Connection | None = await self._connect(self._broker)
        while connection is not None:
            lost = await self._one_connection(connection, errands, until, expires)
            if lost is not None and not isinstance(lost, ConnectionLost):
                raise lost
            connection = None if lost is None else await self._reconnect(until)

    async def _one_connection(
        self, connection: Connection, errands: Sequence[Errand], until: BootMs, expires: UtcMs
    ) -> GatewayError | None:
        """Why it ended before its time."""
        lost: GatewayError | None = None
        try:
            await self._serve(connection, errands, until, expires)
        except* GatewayError as losses:
            lost = _first(losses)
        finally:
            await connection.close()
        return lost

    async def _reconnect(self, until: BootMs) -> Connection | None:
        while self._clock.boot_ms() < until:
            await self._sleep(RECONNECT_MS)
            try:
                return await self._connect(self._broker)
            except ConnectionLost:
                continue
        return None

    async def _serve(self, connection: Connection, errands: Sequence[Errand], until: BootMs, expires: UtcMs) -> None:
        by_gateway = {errand.gateway: errand for errand in errands}
        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(self._hear(connection, by_gateway), name="recall.hear")
            every = Topics(self._root, "+")
            for topic in (every.outcome, every.status):
                await connection.subscribe(topic)
            look_at = BootMs(0)
            while not all(errand.over(self._clock.boot_ms()) for errand in errands) and self._clock.boot_ms() < until:
                for errand in errands:
                    await self._ask(connection, errand, expires)
                if self._clock.boot_ms() >= look_at:
                    look_at = await self._look(errands)
                await self._sleep(STEP_MS)
            hearing.cancel()

    async def _ask(self, connection: Connection, errand: Errand, expires: UtcMs) -> None:
        command_id = self._new_id()
        ask = errand.due(command_id, self._clock.boot_ms())
        if ask is None:
            return
        arguments: dict[str, object] = {"epoch": ask.epoch, "ranges": ask.seqs.ranges}
        command = Command(command_id, expires, "resend", arguments)
        topic = Topics(self._root, errand.gateway).command
        reason = await connection.publish(topic, wire_command.encode_command(command))
        if reason == NO_SUBSCRIBERS:
            errand.unheard(self._clock.boot_ms())
        elif reason >= FAILURE:
            raise Refused(reason, "may not send commands")

    async def _hear(self, connection: Connection, errands: dict[str, Errand]) -> None:
        async for message in connection.messages():
            with suppress(Malformed):  # ingest keeps it as a dead letter
                await self._heard(message, errands)
            connection.ack(message)
        raise ConnectionLost("no more messages")

    async def _heard(self, message: Message, errands: dict[str, Errand]) -> None:
        gateway = gateway_of(self._root, message.topic)
        errand, topics, now = errands.get(gateway), Topics(self._root, gateway), self._clock.boot_ms()
        if errand is None:
            return
        if message.topic == topics.outcome:
            lost = errand.answered(wire_command.decode_outcome(message.payload), now)
            if lost is not None:
                await self._record(gateway, lost)
        elif message.topic == topics.status:
            status = status_reader.decode_status(message.payload)
            recalling = status.get("recalling", 0)
            count = recalling if isinstance(recalling, int) else 0
            errand.said(now, online=status.get("online") is True, recalling=count)

    async def _record(self, gateway: str, lost: Ask) -> None:
        """Patiently: what is not recorded stays unexplained. It is asked for again if we end before."""
        lines = not_kept_points(gateway, lost.epoch, lost.seqs, self._clock.utc_ms())
        for start in range(0, len(lines), RECORDED_AT_ONCE):
            while True:
                try:
                    await self._store.write(lines[start : start + RECORDED_AT_ONCE], "ns")
                except StoreBusy:
                    await self._sleep(LOOK_MS)
                else:
                    break

    async def _look(self, errands: Sequence[Errand]) -> BootMs:
        """What of the missing the ledger has now; says when to look again."""
        began = self._clock.boot_ms()
        try:
            for errand in errands:
                for epoch in list(errand.missing):
                    errand.stored(epoch, await self._store.stored(errand.gateway, epoch), self._clock.boot_ms())
        except StoreBusy:
            return BootMs(self._clock.boot_ms() + LOOK_MS)
        self._tell(errands)
        now = self._clock.boot_ms()
        return BootMs(now + max(LOOK_MS, LOOK_SHARE * (now - began)))

    async def _sleep(self, ms: int) -> None:
        await self._clock.sleep_until(BootMs(self._clock.boot_ms() + ms))


def _first(losses: BaseExceptionGroup[GatewayError]) -> GatewayError:
    first = losses.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
