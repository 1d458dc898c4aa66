"""One command to one gateway: sent, and its outcome waited for. The centre's side of docs/specs/wire.md section 7.

Whoever hears no outcome sends the same id again: the gateway carries it out once, and says what became of it.
"""

import asyncio

from gateway.errors import ConnectionLost, GatewayError, Malformed, Refused
from gateway.seams import Broker, Connect, Connection
from gateway.wire.command import Command, Outcome, decode_outcome, encode_command
from gateway.wire.topic import Topics

NO_SUBSCRIBERS = 16
FAILURE = 128


class GatewayOffline(GatewayError):
    """The broker says that nobody listens: nothing was done."""

    code = "gateway_offline"


class NoOutcome(GatewayError):
    """The gateway, or the way from it, kept silent: the command may have been carried out."""

    code = "no_outcome"


async def send(connect: Connect, broker: Broker, topics: Topics, command: Command, patience_s: float) -> Outcome:
    """What the gateway says became of it; raises GatewayOffline, NoOutcome, ConnectionLost, Refused."""
    connection = await connect(broker)
    try:
        await connection.subscribe(topics.outcome)
        reason = await connection.publish(topics.command, encode_command(command))
        if reason == NO_SUBSCRIBERS:
            raise GatewayOffline(topics.gateway)
        if reason >= FAILURE:
            raise Refused(reason, f"{broker.client_id} may not send commands")
        return await _outcome(connection, command.id, patience_s)
    finally:
        await connection.close()


async def _outcome(connection: Connection, command_id: str, patience_s: float) -> Outcome:
    """The one of this command; those of others are passed over."""
    try:
        async with asyncio.timeout(patience_s):
            async for message in connection.messages():
                connection.ack(message)
                try:
                    outcome = decode_outcome(message.payload)
                except Malformed:
                    continue  # ingest keeps it as a dead letter
                if outcome.id == command_id:
                    return outcome
    except TimeoutError:
        raise NoOutcome(f"none in {patience_s:.0f} s") from None
    except ConnectionLost as error:
        raise NoOutcome(str(error)) from error
    raise NoOutcome("no more messages")
