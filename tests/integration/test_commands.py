"""A write from the centre to a register and back, with real processes: broker, ingest, gateway, command line.

The device lives in the test: two settings and a level, over Modbus TCP.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.protocols.checksums import crc16_bytes
from gateway.protocols.modbus_pdu import ReadRequest, WriteRegisters, decode_request, encode_echo, encode_reply
from tests.support.cabinet import WAIT_S
from tests.support.centre import Box, Centre, centre_in, stored_by
from tests.support.chain import wait_until
from tests.support.modbus_server import Answer, Asked, ModbusServer
from tests.support.servers import Mosquitto
from tests.support.written import write

pytestmark = [pytest.mark.timeout(120), pytest.mark.server]

GATEWAY = "hc-0001"
OFFSET_AT, GAIN_AT = 10, 11
PROFILE = """[profile]
id = "acme/gauge"
version = 1
kind = "gauge"
title = { en = "Gauge", vi = "Thước đo" }
sources = ["its maker"]
confidence = "one source"
[modbus]
table = "holding"
timeout = "200ms"
[fields]
temperature = { address = 0, type = "i16", unit = "Cel", scale = 0.1 }
[fields.zero_offset]
address = 10
type = "i16"
unit = "Cel"
scale = 0.01
parameter = true
writable = { low = -5, high = 5 }
quantity = "temperature"
[fields.gain]
address = 11
type = "i16"
unit = "Cel"
scale = 0.01
parameter = true
writable = { low = 0, high = 5 }
quantity = "temperature"
"""
DEVICE = """[[device]]
name = "gauge-1"
bus = "tcp-1"
unit_id = 1
profile = "acme/gauge@1"
every = "1s"
fields.zero_offset.writable = true
"""


class Gauge:
    """Holds what is written to it; a write to `gain` is obeyed and never answered."""

    def __init__(self) -> None:
        self.words = {0: 215, OFFSET_AT: 0, GAIN_AT: 100}
        self.writes: list[int] = []

    def every(self, asked: Asked) -> Sequence[Answer]:
        """For `ModbusServer.every`."""
        request = decode_request(asked.frame.pdu)
        if isinstance(request, WriteRegisters):
            self.words |= {request.address + at: value for at, value in enumerate(request.values)}
            self.writes.append(request.address)
            return [] if request.address == GAIN_AT else [(0.0, asked.wire(encode_echo(request)))]
        assert isinstance(request, ReadRequest)
        words = (self.words.get(address, 0) for address in range(request.address, request.address + request.count))
        return [(0.0, asked.wire(encode_reply(request, b"".join(word.to_bytes(2) for word in words))))]


@dataclass(frozen=True)
class Chain:
    """All of it, running."""

    gauge: Gauge
    box: Box
    centre: Centre

    async def run(self, *arguments: str) -> tuple[int, str]:
        """One of our commands: exit status and what it said."""
        environment = os.environ | {"GATEWAY_SOCKET": str(self.box.folder / "spool" / "control.sock"), "COLUMNS": "200"}
        done = await asyncio.to_thread(
            lambda: subprocess.run(
                [sys.executable, "-m", "gateway", *arguments],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
                env=environment,
                stdin=subprocess.DEVNULL,
            )
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    async def command(self, command_id: str, *arguments: str, name: str = "write") -> tuple[int, str]:
        """As the operator of the centre types it."""
        file = str(self.centre.folder / "ioc.toml")
        return await self.run("ioc", "command", GATEWAY, name, *arguments, "--file", file, "--id", command_id)

    async def events(self, code: str, times: int = 1) -> list[str]:
        """The details of the stored events of this code, once there are so many."""

        def stored() -> list[str]:
            points = stored_by(self.centre, "gw_event", GATEWAY)
            return [str(p.fields["detail"]) for p in points if p.tags["code"] == code]

        await until(lambda: len(stored()) >= times, f"{times} x {code}")
        return stored()

    def outcomes(self) -> set[tuple[object, object]]:
        """Code and value of those in the centre's store."""
        return {(p.fields["code"], p.fields.get("value")) for p in stored_by(self.centre, "gw_outcome", GATEWAY)}

    async def up(self) -> None:
        """The daemon runs and is connected."""
        await until(lambda: self.box.status().get("connected") is True, "the uplink")


async def until(holds: Callable[[], bool], what: str) -> None:
    """Poll beside the loop that the device lives in."""
    await asyncio.to_thread(wait_until, holds, WAIT_S, what)


@asynccontextmanager
async def chain(folder: Path, *allowed: str, commands: str = 'commands = ["write"]') -> AsyncIterator[Chain]:
    """Broker, worker, device, gateway; the site allows `commands`, and the fields of DEVICE and `allowed`."""
    gauge = Gauge()
    write(folder / "box" / "profiles" / "acme" / "gauge.toml", PROFILE)
    write(folder / "box" / "profiles" / "acme" / "gauge.vectors.toml", vectors())
    async with ModbusServer("tcp") as server:
        server.every = gauge.every
        with Mosquitto(folder) as broker:
            box = Box(folder / "box", GATEWAY, broker.port)
            site = box.site.read_text().replace(f'id = "{GATEWAY}"', f'id = "{GATEWAY}"\n{commands}')
            bus = f'[[bus]]\nname = "tcp-1"\nhost = "{server.endpoint}"\n'
            more = "".join(f"fields.{name}.writable = true\n" for name in allowed)
            box.site.write_text(site + bus + DEVICE + more)
            starting = centre_in(folder / "centre", broker)
            centre = await asyncio.to_thread(starting.__enter__)
            made = Chain(gauge, box, centre)
            box.daemon.start()
            try:
                await made.up()
                yield made
                assert box.daemon.alive(), box.daemon.tail()
                await asyncio.to_thread(box.daemon.stop)
            finally:
                box.daemon.kill()
                await asyncio.to_thread(starting.__exit__, None, None, None)


def vectors() -> str:
    """One exchange for each read."""
    text = ""
    for ask, answer, values in (
        ("03 00 00 00 01", "03 02 00 D7", "temperature = 21.5"),
        ("03 00 0A 00 02", "03 04 00 19 00 64", "zero_offset = 0.25, gain = 1.0"),
    ):
        frames = (b"\x01" + bytes.fromhex(part) for part in (ask, answer))
        request, response = ((frame + crc16_bytes(frame)).hex(" ").upper() for frame in frames)
        text += f"""[[vector]]
about = "as it comes from its maker"
evidence = "constructed"
source = "the layout"
request = "{request}"
response = "{response}"
values = {{ {values} }}
"""
    return text


WRITE = ("device=gauge-1", "field=zero_offset", "value=0.25")


async def test_a_write_goes_down_and_its_outcome_and_record_come_up(tmp_path: Path) -> None:
    """Written once, read back, in the centre's store; asked again over a kill -9 it is told, not done again."""
    async with chain(tmp_path) as made:
        assert await made.command("c-1", *WRITE) == (0, "c-1: Done, = 0.25\n")
        assert made.gauge.words[OFFSET_AT] == 25
        assert await made.events("field_written") == ['["zero_offset",0.25,"ioc:c-1","ok",0.0,0.25]']
        made.gauge.words[OFFSET_AT] = 7  # somebody else has changed it since
        for kill in (False, True):
            if kill:
                made.box.daemon.kill()
                made.box.daemon.start()
                await made.up()
            status, said = await made.command("c-1", *WRITE)
            assert (status, said.startswith("c-1: This command was carried out before: Done, = 0.25")) == (1, True), (
                said
            )
        assert made.gauge.words[OFFSET_AT] == 7
        assert made.gauge.writes == [OFFSET_AT]
        await until(lambda: made.outcomes() == {("ok", "0.25"), ("repeated", "0.25")}, "both outcomes in the store")


async def test_a_kill_in_the_middle_of_a_write_is_told(tmp_path: Path) -> None:
    """The device has obeyed, and nobody knew: the next life says so, and does not do it again."""
    async with chain(tmp_path, "gain") as made:
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(made.command("c-1", "device=gauge-1", "field=gain", "value=2"), name="ask")
            await until(lambda: made.gauge.writes == [GAIN_AT], "the write")
            made.box.daemon.kill()
            made.box.daemon.start()
            await made.up()
            (detail,) = await made.events("write_uncertain")
            assert detail == '["gain",2.0,"ioc:c-1","interrupted","",""]'
            status, said = await made.command("c-1", "device=gauge-1", "field=gain", "value=2")
            assert (status, "stopped in the middle" in said) == (1, True), said
            assert (await asking)[0] == 1  # it heard the second outcome of its id
        assert made.gauge.writes == [GAIN_AT]


async def test_a_lost_reply_is_answered_by_what_the_device_holds(tmp_path: Path) -> None:
    """The write is obeyed, its reply never comes: read back, and never sent twice."""
    async with chain(tmp_path, "gain") as made:
        status, said = await made.command("c-1", "device=gauge-1", "field=gain", "value=2")
        assert (status, said.endswith("= 2.0\n")) == (0, True), said
        assert made.gauge.writes == [GAIN_AT]


async def test_what_is_not_allowed_is_not_done(tmp_path: Path) -> None:
    """By the profile, by the site, by the limits; whoever asks."""
    async with chain(tmp_path) as made:
        for number, (arguments, words) in enumerate(
            [
                (("device=gauge-1", "field=temperature", "value=1"), "cannot be written"),
                (("device=gauge-1", "field=gain", "value=1"), "not allowed"),
                (("device=gauge-1", "field=zero_offset", "value=5.01"), "outside what may be written: allowed: -5 … 5"),
                (("device=gauge-1", "field=zero_offset", "value=0.123"), "would read back as 0.12"),
                (("device=other-1", "field=gain", "value=1"), "no such device"),
                (("device=gauge-1",), "not complete"),
            ]
        ):
            status, said = await made.command(f"c-{number}", *arguments)
            assert (status, words in said) == (1, True), said
        status, said = await made.command("c-9", name="recall")
        assert (status, "does not know the command" in said) == (1, True), said
        assert len(await made.events("write_refused", 4)) == 4
        assert made.gauge.writes == []


async def test_the_default_of_a_site_is_no_command_at_all(tmp_path: Path) -> None:
    """Though its field may be written, locally."""
    async with chain(tmp_path, commands="") as made:
        status, said = await made.command("c-1", *WRITE)
        assert (status, "not allowed" in said) == (1, True), said
        assert made.gauge.writes == []
        status, said = await made.run("write", "gauge-1", "zero_offset", "-0.5", "--yes")
        assert (status, "read back: -0.5 °C" in said) == (0, True), said
        assert made.gauge.words[OFFSET_AT] == 0x10000 - 50
        assert await made.events("field_written") == ['["zero_offset",-0.5,"local","ok",0.0,-0.5]']
        status, said = await made.run("read", "gauge-1", "zero_offset", "gain")
        assert (status, "-0.5 °C" in said, "1 °C" in said) == (0, True, True), said


async def test_a_gateway_that_is_away_is_known_at_once(tmp_path: Path) -> None:
    """Nothing was done; a local write has nobody who would record it, a local read needs nobody."""
    async with chain(tmp_path) as made:
        await asyncio.to_thread(made.box.daemon.stop)
        status, said = await made.command("c-1", *WRITE)
        assert (status, "not connected" in said) == (3, True), said
        status, said = await made.run("write", "gauge-1", "zero_offset", "1", "--yes")
        assert (status, "Nobody would record" in said) == (3, True), said
        site, profiles = str(made.box.site), str(made.box.profiles)
        status, said = await made.run("read", "gauge-1", "gain", "--site", site, "--profiles", profiles)
        assert (status, "1 °C" in said) == (0, True), said
        assert made.gauge.writes == []
        made.box.daemon.start()
        await made.up()


async def test_the_centre_says_that_somebody_works_on_a_device(tmp_path: Path) -> None:
    """The command `maintenance` (W-98, W-99): begun, asked again over a kill -9, ended; events and status come up."""
    begin = ("device=gauge-1", "for_ms=7200000", "why=a new float")
    async with chain(tmp_path, commands='commands = ["maintenance"]') as made:
        assert await made.command("m-1", *begin, name="maintenance") == (0, "m-1: Done\n")
        assert await made.events("maintenance_on") == ['[7200000,"maintenance","ioc:m-1","a new float"]']
        made.box.daemon.kill()
        made.box.daemon.start()
        await made.up()
        code, said = await made.command("m-1", *begin, name="maintenance")
        assert (code, said.startswith("m-1: ")) == (1, True)
        works = (await asyncio.to_thread(made.box.status))["maintenance"]
        assert isinstance(works, list)
        assert [work[:3] for work in works] == [["gauge-1", "maintenance", "ioc:m-1"]]
        assert (await made.command("m-2", "device=gauge-1", "for_ms=0", name="maintenance"))[0] == 0
        assert await made.events("maintenance_off") == ['["maintenance","ioc:m-1","by_hand"]']
        assert (await made.command("m-3", "device=other", "for_ms=1", name="maintenance"))[0] == 1
        assert (await made.command("c-1", *WRITE))[0] == 1  # the site names only that one
        told = {"ok", "repeated", "no_such_device", "not_allowed"}
        await until(lambda: {code for code, _ in made.outcomes()} == told, "the outcomes")
        assert len(await made.events("maintenance_on")) == 1
