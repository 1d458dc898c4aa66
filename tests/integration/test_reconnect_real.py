"""500 connections against a real mosquitto that is killed: by the reconnect policy all are back, and soon."""

import asyncio
import struct
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from gateway.north.doors import FORGIVEN_AFTER_MS, WAIT_MAX_MS, Doors
from tests.support.servers import Mosquitto

pytestmark = pytest.mark.server

GATEWAYS = 500
AWAY_S = 0.3
BACK_S = WAIT_MAX_MS / 1000  # what is promised: all within a minute of the broker's return


@pytest.mark.timeout(180)
async def test_all_of_a_city_are_back_within_a_minute(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each one is light: CONNECT, CONNACK, and it stays. What was measured is printed, not judged."""
    loop = asyncio.get_running_loop()
    with Mosquitto(tmp_path, settings=("max_connections -1",)) as mosquitto:
        gateways = [Gateway(number, mosquitto.port) for number in range(GATEWAYS)]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(gateway.run(), name=gateway.name) for gateway in gateways]
            await all_up(gateways, 1)
            mosquitto.kill()
            await asyncio.sleep(AWAY_S)
            mosquitto.start()
            back_at = loop.time()
            async with asyncio.timeout(BACK_S):
                await all_up(gateways, 2)
            for task in running:
                task.cancel()
    again = [gateway.up[1] - back_at for gateway in gateways]
    peak = max(Counter(int(at) for gateway in gateways for at in gateway.tried[1:]).values())
    with capsys.disabled():
        print(f"\n{GATEWAYS} back after {max(again):.1f} s, at most {peak} attempts in a second")
    assert all(gateway.refused == 0 for gateway in gateways)


class Gateway:
    """One connection, and when it was tried and up."""

    def __init__(self, number: int, port: int) -> None:
        self.name = f"hc-{number:04}"
        self.tried: list[float] = []
        self.up: list[float] = []
        self.refused = 0
        self._port = port
        self._doors = Doors(1, Random(number))

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self.tried.append(loop.time())
            before = len(self.up)
            try:
                await self._hold()
            except (OSError, asyncio.IncompleteReadError):
                held = len(self.up) > before
                wait_ms = self._doors.lost(FORGIVEN_AFTER_MS) if held else self._doors.failed()
                await asyncio.sleep(wait_ms / 1000)

    async def _hold(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(connect_packet(self.name))
            kind, length = struct.unpack("BB", await reader.readexactly(2))
            answer = await reader.readexactly(length)
            self.refused += kind != 0x20 or answer[1] != 0
            self.up.append(asyncio.get_running_loop().time())
            await reader.readexactly(1)  # nothing is said until the end
        finally:
            writer.close()


def connect_packet(client_id: str) -> bytes:
    """CONNECT of MQTT 5: clean start, keepalive 60 s, no properties."""
    name = client_id.encode()
    rest = b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + struct.pack(">H", len(name)) + name
    return bytes([0x10, len(rest)]) + rest


async def all_up(gateways: list[Gateway], times: int) -> None:
    """Each was up so many times."""
    while not all(len(gateway.up) >= times for gateway in gateways):  # noqa: ASYNC110 - 500 of them, looked at together
        await asyncio.sleep(0.05)
