"""gateway.app.traffic: the bytes of a month, against messages that are counted one by one."""

from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from gateway.app import demo_site, traffic
from gateway.app.traffic import MONTH_S, Traffic, month
from gateway.config.compile import compile_simulator_file
from gateway.seams import Tls
from gateway.site import Bus, Report, Site, UplinkSettings
from tests.support.written import write


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The demo's, on a mobile network."""
    text = demo_site.site_text(tmp_path, 1883, (1502, 1503)).replace('network = "wired"', 'network = "mobile"')
    return compile_simulator_file(write(tmp_path / "site.toml", text)).site


def estimate(site: Site, **changed: object) -> Traffic:
    """Of its uplink, with another setting."""
    return month(site, replace(site.uplinks[0], **changed))  # type: ignore[arg-type]


def test_every_row_is_in_a_batch(site: Site) -> None:
    """As many rows as the periods ask for, and a batch every ten seconds."""
    periods = [polled.period_ms for bus in site.buses for device in bus.devices for polled in device.polled]
    estimated = estimate(site)
    assert estimated.rows == pytest.approx(sum(MONTH_S * 1000 / period for period in periods), rel=0.02)
    assert estimated.batches == pytest.approx(MONTH_S / 10, rel=0.1)
    assert estimated.total == estimated.data + estimated.receipts + estimated.status + estimated.rest


def test_longer_batches_cost_less(site: Site) -> None:
    """Fewer headers, better compression, fewer receipts."""
    wired, mobile, scarce = (estimate(site, max_age_ms=ms) for ms in (1_000, 10_000, 60_000))
    assert wired.data > mobile.data > scarce.data
    assert wired.receipts > 5 * mobile.receipts > 20 * scarce.receipts


def test_tls_costs_a_record_a_message(site: Site) -> None:
    """22 bytes on each of the four messages of a batch."""
    server = replace(site.uplinks[0].servers[0], tls=Tls("ca"))
    plain, secret = estimate(site), estimate(site, servers=(server,))
    assert secret.data - plain.data == pytest.approx(plain.batches * 2 * 22, rel=0.05)
    assert secret.receipts - plain.receipts == pytest.approx(plain.batches * 2 * 22, rel=0.05)
    assert secret.rest > plain.rest


def test_a_site_without_devices_sends_status_only(site: Site) -> None:
    """Nothing to pack; nothing is divided by nothing."""
    empty = replace(site, buses=())
    estimated = month(empty, empty.uplinks[0])
    assert (estimated.rows, estimated.batches, estimated.data, estimated.receipts) == (0, 0, 0, 0)
    assert estimated.status > 0


def test_keepalive_is_paid_where_nothing_else_is_sent(site: Site) -> None:
    """A ping a keepalive, less the messages that come anyway."""
    quiet = replace(site, buses=())
    often = replace(quiet.uplinks[0], servers=(replace(quiet.uplinks[0].servers[0], keepalive_s=15),))
    assert month(quiet, often).rest > month(quiet, quiet.uplinks[0]).rest


def test_slow_groups_are_not_forgotten(site: Site) -> None:
    """One device once an hour, another ten times a second: the window holds both."""
    device = site.buses[0].devices[1]
    (polled,) = device.polled
    hourly = replace(device, polled=(replace(polled, period_ms=3_600_000),))
    bus: Bus = replace(site.buses[0], devices=(hourly,))
    assert month(replace(site, buses=(bus,)), site.uplinks[0]).rows == pytest.approx(720, rel=0.1)


@pytest.mark.parametrize("size", [0, 90, 130, 16_200, 17_000, 70_000])
def test_a_publish_is_as_long_as_a_client_makes_it(size: int) -> None:
    """Byte for byte, on both sides of each step of its length field."""
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    made: list[int] = []

    def queue(_command: int, packet: bytes, *_: object) -> MQTTErrorCode:
        made.append(len(packet))
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "_sock", object())
        patch.setattr(client, "_packet_queue", queue)
        client._send_publish(7, b"city/hc-0001/up/data", bytes(size), qos=1)
    assert made == [traffic.publish_bytes("city/hc-0001/up/data", size)]


def test_plain_messages_are_counted_one_by_one(site: Site) -> None:
    """json: a PUBLISH a row; lines go together; neither has receipts, status, catalog or will."""
    server = site.uplinks[0].servers
    second = UplinkSettings("x", server, "wired", 1_000, 60_000, settle="puback", format="json", topic="{device}")
    json, influx = month(site, second), month(site, replace(second, format="influx"))
    first = month(site, site.uplinks[0])
    assert (json.rows, json.batches) == (first.rows, first.batches), "batches are as old as the first uplink lets them"
    assert json.data > json.rows * (150 + 2 * traffic.HEADERS_BYTES)
    assert first.data < influx.data < json.data
    for plain in (json, influx):
        assert (plain.receipts, plain.status) == (0, 0)
        assert plain.rest < first.rest


def test_who_settles_by_puback_gets_no_receipts(site: Site) -> None:
    """The rest is as it was."""
    assert estimate(site, settle="puback").receipts == 0
    assert estimate(site, settle="puback").data == estimate(site).data


def test_folded_rows_cost_what_they_carry(site: Site) -> None:
    """A minute of polls is one row, with its columns: as many rows as windows, and a fraction of the bytes."""
    folded = _reporting(site, Report(60_000))
    groups = sum(len(device.polled) for bus in folded.buses for device in bus.devices)
    estimated = estimate(folded)
    assert estimated.rows == pytest.approx(groups * MONTH_S / 60, rel=0.05)
    assert estimated.data < estimate(site).data / 4


def test_what_is_steady_costs_less(site: Site) -> None:
    """A deadband that nothing leaves: a row every ten minutes."""
    estimated = estimate(_reporting(site, Report(0, 1e9, 600_000)))
    assert estimated.rows < estimate(site).rows / 4


def _reporting(site: Site, report: Report) -> Site:
    """All that is polled, so that each fold has a few polls in it."""
    buses = [
        replace(bus, devices=tuple(
            replace(device, polled=tuple(
                replace(each, report=report, period_ms=min(each.period_ms, 10_000)) for each in device.polled
            ))
            for device in bus.devices
        ))
        for bus in site.buses
    ]  # fmt: skip
    return replace(site, buses=tuple(buses))
