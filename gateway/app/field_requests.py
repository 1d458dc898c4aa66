"""`read` and `write` on the control socket: arguments checked by hand, one answer that says all.

    read  {"device": "level-1", "fields": ["zero_offset"]}
          {"code": "ok", "fields": [{"field": …, "value": …, "quality": "", "unit": …, "letter": …, "limits": …}]}
    write {"device": "level-1", "field": "zero_offset", "value": 0.25}
          {"code": "ok", "detail": "", "before": 0.2, "after": 0.25}

While it takes its time, `{"waiting": true}` comes every BEAT_S, so that nobody takes a slow device for a dead daemon.
Whoever goes away ends what was read for them; a write goes on.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from gateway.app.fields import FIELDS_MAX, Fields
from gateway.app.journal import LOCAL
from gateway.control.server import Handler
from gateway.errors import GatewayError, Malformed
from gateway.model import Row
from gateway.profile.profile import Field
from gateway.seams import Clock
from gateway.site import Bus, Device
from gateway.south.jobs.permit import limits, obstacle
from gateway.wire import checked
from gateway.wire.command import write_arguments

BEAT_S: Final = 2.0


def handlers(fields: Fields, boot: str, clock: Clock) -> Mapping[str, Handler]:
    """Who may open the socket may ask: its group is the permission."""

    async def read(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        reading = fields.job("read", _read(fields, arguments))
        try:
            async for answer in _beating(reading):
                yield answer
        finally:
            reading.cancel()

    def write(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        own_id = f"{LOCAL}-{boot}-{clock.boot_ns()}"
        return _beating(fields.job("write", _write(fields, own_id, arguments)))

    return {"read": read, "write": write}


def described(bus: Bus, device: Device, fields: tuple[Field, ...], row: Row) -> list[dict[str, object]]:
    """A row that was read on request, with what people must know of each field."""
    quality = {row.group.fields[at]: str(code) for at, code in row.quality}
    return [
        {
            "field": field.name,
            "value": value,
            "quality": quality.get(field.name, ""),
            "unit": field.unit,
            "letter": field.letter,
            "limits": limits(field.write) if field.write else "",
            "writable": field.name in device.writable and not obstacle(bus, device, field),
        }
        for field, value in zip(fields, row.values, strict=True)
    ]


async def _read(fields: Fields, arguments: dict[str, object]) -> dict[str, object]:
    try:
        device_name = checked.name(arguments.get("device"), "device")
        listed = checked.items(arguments.get("fields", []), "fields", FIELDS_MAX)
        names = tuple(checked.name(name, "field", checked.FIELD) for name in listed)
        bus, device, found, row = await fields.read(device_name, names)
    except GatewayError as error:
        return {"code": _code(error), "detail": str(error), "fields": []}
    return {"code": "ok", "detail": "", "fields": described(bus, device, found, row)}


async def _write(fields: Fields, own_id: str, arguments: dict[str, object]) -> dict[str, object]:
    try:
        asked = write_arguments(arguments)
    except Malformed as error:
        return {"code": _code(error), "detail": str(error), "before": None, "after": None}
    written = await fields.write(own_id, asked.device, asked.field, asked.value, LOCAL)
    return {"code": written.code, "detail": written.detail, "before": written.before, "after": written.after}


async def _beating(job: asyncio.Task[dict[str, object]]) -> AsyncGenerator[object, None]:
    """What it returns; it is not ended from here."""
    while not job.done():
        await asyncio.wait({job}, timeout=BEAT_S)
        if not job.done():
            yield {"waiting": True}
    yield job.result()


def _code(error: GatewayError) -> str:
    return "bad_arguments" if isinstance(error, Malformed) else error.code
