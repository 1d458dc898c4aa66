"""gateway.app.field_requests: `read` and `write` on the control socket."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import field_requests
from gateway.app.journal import Kept
from gateway.protocols.modbus_pdu import Request
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.testing.clock import turns
from tests.support.asks import MemoryAsks
from tests.support.fields import FieldsBench


class Slow(MemoryAsks):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.given_up = asyncio.Event(), 0

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `MemoryAsks`."""
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        return await super().ask(unit_id, request, timeout_ms, manner)


async def answers(bench: FieldsBench, name: str, arguments: dict[str, object]) -> list[Any]:
    """All of them, with time passing."""
    async with bench.running() as fields:
        handler = field_requests.handlers(fields, "b00t", bench.clock)[name]
        gathered = bench.tasks.create_task(_all(handler(arguments)), name="client")
        while not gathered.done():
            await bench.clock.advance(500)
        return gathered.result()


async def _all(said: AsyncIterator[object]) -> list[object]:
    return [one async for one in said]


async def test_a_read_says_what_people_must_know(tmp_path: Path) -> None:
    """Value, unit, reason, whether it may be written and within which limits."""
    bench = FieldsBench(tmp_path, asks=MemoryAsks({10: 25, 20: 0, 21: 0x7FC0}))
    (said,) = await answers(bench, "read", {"device": "level-1", "fields": ["zero_offset", "span"]})
    assert said["code"] == "ok"
    assert said["fields"] == [
        {
            "field": "zero_offset",
            "value": 0.25,
            "quality": "",
            "unit": "m",
            "letter": "f",
            "limits": "-5 … 5",
            "writable": True,
        },
        {
            "field": "span",
            "value": None,
            "quality": "not_a_number",
            "unit": "m",
            "letter": "f",
            "limits": "… 10",
            "writable": True,
        },
    ]


async def test_a_local_write_is_told_as_local(tmp_path: Path) -> None:
    """One answer; the centre's commands are not forgotten for it."""
    bench = FieldsBench(tmp_path)
    asked: dict[str, object] = {"device": "level-1", "field": "zero_offset", "value": 0.25}
    (said,) = await answers(bench, "write", asked)
    assert said == {"code": "ok", "detail": "", "before": 0.0, "after": 0.25}
    assert bench.told[0][2] == ("zero_offset", 0.25, "local", "ok", 0, 0.25)
    (said,) = await answers(bench, "write", asked | {"value": 0.5})
    assert said["code"] == "ok"
    async with bench.running():
        assert bench.kept == Kept((), (), 0)  # it cannot be asked for again: nothing to remember


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("read", {}, "bad_arguments"),
        ("read", {"device": 5}, "bad_arguments"),
        ("read", {"device": "level-1", "fields": "level"}, "bad_arguments"),
        ("read", {"device": "level-1", "fields": ["time"]}, "bad_arguments"),
        ("read", {"device": "level-1", "fields": ["level"] * 300}, "bad_arguments"),
        ("read", {"device": "other-1"}, "no_such_device"),
        ("read", {"device": "level-1", "fields": ["nothing"]}, "no_such_field"),
        ("write", {}, "bad_arguments"),
        ("write", {"device": "level-1", "field": "zero_offset", "value": {}}, "bad_arguments"),
        ("write", {"device": "level-1", "field": "zero_offset", "value": 9}, "out_of_limits"),
        ("write", {"device": "other-1", "field": "zero_offset", "value": 9}, "no_such_device"),
    ],
)
async def test_what_cannot_be_done_has_its_code(
    tmp_path: Path, name: str, arguments: dict[str, object], code: str
) -> None:
    """Whatever a client sends."""
    bench = FieldsBench(tmp_path)
    (said,) = await answers(bench, name, arguments)
    assert said["code"] == code
    assert said["detail"]
    assert bench.asks.asked == []


async def test_a_slow_device_is_no_dead_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it waits, until it has an answer."""
    monkeypatch.setattr(field_requests, "BEAT_S", 0.001)
    bench = FieldsBench(tmp_path)
    async with bench.running() as fields:
        handler = field_requests.handlers(fields, "b00t", bench.clock)["write"]
        said = handler({"device": "level-1", "field": "mode", "value": 4})
        assert [await anext(said) for _ in range(3)] == [{"waiting": True}] * 3
        await bench.clock.advance(1_000)
        rest = [one async for one in said]
        assert rest[-1] == {"code": "ok", "detail": "", "before": 0.0, "after": 4.0}


async def test_a_client_that_hangs_up_stops_no_write(tmp_path: Path) -> None:
    """The device must not be left half asked."""
    bench = FieldsBench(tmp_path)
    async with bench.running() as fields:
        handler = field_requests.handlers(fields, "b00t", bench.clock)["write"]
        asked: dict[str, object] = {"device": "level-1", "field": "mode", "value": 4}
        client = bench.tasks.create_task(_all(handler(asked)), name="client")
        await turns()
        client.cancel()
        await bench.clock.advance(1_000)
        assert [code for _, code, _, _ in bench.told] == ["field_written"]


async def test_a_read_ends_when_its_client_goes(tmp_path: Path) -> None:
    """Nobody waits for it: it takes no more of the bus's time. What a write does goes on."""
    bench = FieldsBench(tmp_path, asks=(asks := Slow()))
    async with bench.running() as fields:
        handlers = field_requests.handlers(fields, "b00t", bench.clock)
        for name, arguments in (("read", {}), ("write", {"field": "zero_offset", "value": 0.25})):
            client = handlers[name]({"device": "level-1"} | arguments)
            waiting = bench.tasks.create_task(anext(client), name="client")
            await turns()
            waiting.cancel()
            await turns()
            await client.aclose()
            await turns()
            assert asks.given_up == (name == "read")
            asks.given_up = 0
        asks.go.set()
        await bench.clock.advance(10_000)
        assert [code for _, code, _, _ in bench.told] == ["field_written"]
