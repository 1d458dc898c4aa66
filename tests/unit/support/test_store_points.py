"""What the checker reads of a store: all values of one gateway, nothing of the ledger, from either kind of store."""

from pathlib import Path

import pytest

from gateway.ioc.store.sqlite import SqliteStore
from tests.support import store_points
from tests.support.servers import Influxd
from tests.support.store_points import Point, from_influx, from_store, of_row

T0 = 1_795_484_390_000
LINES = [
    f'meter,gateway=hc-0001,device=m-1,profile=x power=1.5,on=true,text="a, b",qc="u:no_reply" {T0}',
    f"meter,gateway=hc-0001,device=m-1,profile=x,clock=unset power=2.5 {T0}",
    f"air\\ x,gateway=hc-0001,device=a-1,profile=y pm=7 {T0 + 1}",
    f"meter,gateway=hc-0002,device=m-1,profile=x power=9 {T0}",
    f"gw_batch,gateway=hc-0001,epoch=e seq=1,n=1 {T0}",
]
METER = {
    Point("m-1", "power", "meter", 1.5, T0),
    Point("m-1", "on", "meter", True, T0),
    Point("m-1", "text", "meter", "a, b", T0),
    Point("m-1", "power", "meter", 2.5, T0),
}


def test_a_row_is_its_values() -> None:
    """No tag, no time, no quality, no null."""
    row = {"time": 1, "device": "m-1", "gateway": "g", "profile": "p", "clock": "x", "qc": "a", "v": 1, "w": None}
    assert list(of_row("m-1", "meter", 5, row)) == [Point("m-1", "v", "meter", 1, 5)]


@pytest.mark.server
def test_points_of_influxdb(tmp_path: Path) -> None:
    """Every measurement but the ledger's, also of devices nobody asked for; an error is not an empty store."""
    with Influxd(tmp_path) as database:
        database.create_database("city")
        status, _ = database.write("city", "\n".join(LINES).encode())
        assert status == 204
        points = from_influx(f"http://127.0.0.1:{database.port}", "city", "hc-0001")
        with pytest.raises(RuntimeError, match="not found"):
            list(store_points._ask(f"http://127.0.0.1:{database.port}", "village", "SELECT * FROM meter"))
    assert set(points) == METER | {Point("a-1", "pm", "air x", 7, T0 + 1)}
    assert len(points) == 5


async def test_points_of_the_embedded_store(tmp_path: Path) -> None:
    """The series that are asked for."""
    store = SqliteStore(tmp_path / "store")
    await store.write([line.encode() for line in LINES], "ms")
    points = await from_store(store, "hc-0001", {("meter", "m-1"), ("meter", "m-2")})
    await store.close()
    assert set(points) == METER
