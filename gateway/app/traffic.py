"""What an uplink carries in a month, computed before anything is installed. Pure.

Made-up rows go through the packer and the encoders that will carry the real ones (`likely`, `pipeline.packer`,
`wire`), so that batches, receipts and documents have their true sizes. What is wrapped around them is counted by the
packet, both ways, as a provider counts it:

    a batch    PUBLISH, PUBACK; then its receipt: PUBLISH, PUBACK, unless it is settled by the PUBACK
    plain      the same for each message that a batch becomes; no receipt, no status, no catalog
    TLS        a record of 22 bytes more for each message (1.3: header, tag, type), 16 KiB at most
    TCP, IP    52 bytes a segment (IPv4, timestamps) of 1,400 bytes of payload at most; an acknowledgement of its own
               for every two segments, and for each message: what comes after a pause is acknowledged at once

A running daemon is measured beside it, to 10 % (tests/integration/test_budget.py, tests/bench/uplink.py).

Not in it: batches that are sent twice, events, a broker's retransmissions; a link that loses packets needs more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from math import ceil
from typing import Final

from gateway import __version__
from gateway.app import likely
from gateway.app.status import catalog
from gateway.model import Batch, BatchId, BootMs, Draft, Receipt, Row, SeqRanges, Stamp, UtcMs
from gateway.pipeline.chain import Chain
from gateway.pipeline.packer import Packer
from gateway.seams import Broker
from gateway.site import Device, Site, UplinkSettings
from gateway.wire import batch as wire_batch
from gateway.wire import receipt as wire_receipt
from gateway.wire.catalog import encode_catalog
from gateway.wire.documents import (
    EpochStatus,
    NorthStatus,
    SouthStatus,
    SpoolStatus,
    Status,
    UplinkStatus,
    encode_status,
    encode_will,
)
from gateway.wire.plain import Plain
from gateway.wire.topic import Topics

MONTH_S: Final = 30 * 86_400
MB: Final = 10**6
ROWS_MAX: Final = 12_000  # that are made up: about a second's work
WINDOW_MIN_S, WINDOW_MAX_S = 60, 86_400
POLLS_A_WINDOW: Final = 4
WINDOWS: Final = 6  # of a report policy that are looked at
BATCHES_MIN: Final = 10  # that a window holds, where rows allow
CONNECTIONS_A_DAY: Final = 2  # a mobile network drops them

SEGMENT_BYTES: Final = 1400  # of payload
HEADERS_BYTES: Final = 52  # of TCP and IPv4
RECORD_BYTES, RECORD_MAX = 22, 16_384
OPEN_SEGMENTS: Final = 7  # SYN, SYN, ACK; FIN, ACK, FIN, ACK
HANDSHAKE_BYTES: Final = 4_500  # of TLS 1.3 with a certificate of each side and one above it
PUBACK_BYTES, PING_BYTES, CONNACK_BYTES = 4, 2, 20
CONNECT_BYTES, SUBSCRIBE_BYTES = 60, 16  # without ids, topics and will

SOME_TIME: Final = UtcMs(1_795_521_600_000)  # any of today's length
SOME_SEQ: Final = 1_000_000
SOME_CRC: Final = 3_735_928_559
EPOCH: Final = "k3v9x2"
BOOT: Final = "8f14e45fceea"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of a month of 30 days, both ways together."""

    batches: int  # how many
    rows: int
    data: int  # what batches come to, with all that is around them
    receipts: int
    status: int
    rest: int  # keepalive, connections, catalog

    @property
    def total(self) -> int:
        """All of it."""
        return self.data + self.receipts + self.status + self.rest


def month(site: Site, uplink: UplinkSettings) -> Traffic:
    """Of one uplink, while it is connected and the centre answers."""
    way = _Way(tls=any(server.tls for server in uplink.servers))
    topics = Topics(site.root, site.gateway)
    window_s, rows, drafts = _packed(site, (site.uplinks[0] if uplink.plain else uplink).max_age_ms)
    times = MONTH_S / window_s
    sizes = [publish_bytes(topic, len(payload)) for topic, payload in _messages(site, uplink, topics, drafts)]
    data = sum(map(way.exchange, sizes))
    answered = uplink.settle == "receipt"
    receipt = way.exchange(publish_bytes(topics.receipt, _receipt_bytes(site))) if answered else 0
    status = way.exchange(publish_bytes(topics.status, _status_bytes(site)))
    statuses = 0.0 if uplink.plain else MONTH_S * 1000 / uplink.status_interval_ms
    pings = _pings(uplink, len(sizes) * times + statuses)
    connections = CONNECTIONS_A_DAY * MONTH_S / 86_400
    opened = _opened_bytes(uplink.servers[0], way) + (0 if uplink.plain else _introduced_bytes(site, topics, way))
    rest = pings * way.exchange(PING_BYTES) + connections * opened
    return Traffic(
        batches=round(len(drafts) * times),
        rows=round(rows * times),
        data=round(data * times),
        receipts=round(receipt * len(drafts) * times),
        status=round(status * statuses),
        rest=round(rest),
    )


def publish_bytes(topic: str, payload: int) -> int:
    """A PUBLISH of QoS 1: topic and its length, packet id, no properties; then the fixed header (MQTT 5, 2.1.4)."""
    remaining = 2 + len(topic) + 2 + 1 + payload
    return 1 + ceil(remaining.bit_length() / 7) + remaining


@dataclass(frozen=True, slots=True)
class _Way:
    """What is wrapped around a message."""

    tls: bool

    def message(self, size: int) -> int:
        """Bytes of the segments that carry it, and of the acknowledgements that are not part of an answer."""
        size += RECORD_BYTES * ceil(size / RECORD_MAX) if self.tls else 0
        segments = ceil(size / SEGMENT_BYTES)
        return size + HEADERS_BYTES * (segments + (segments - 1) // 2)

    def exchange(self, size: int) -> int:
        """A message, the answer to it, and an acknowledgement of each."""
        return self.message(size) + self.message(PUBACK_BYTES) + 2 * HEADERS_BYTES


def _packed(site: Site, max_age_ms: int) -> tuple[float, int, list[Draft]]:
    """The drafts of a stretch of time: how long it is in s, and how many rows are in it."""
    site = thinned(site)
    polls = [polled for device in site.devices for polled in device.polled]
    periods = [polled.period_ms for polled in polls]
    told = [WINDOWS * max(each.report.every_ms, each.report.at_least_ms) for each in polls if each.report]
    least = [BATCHES_MIN * max([max_age_ms, *periods[:1]]), 2 * max(periods, default=0), *told]
    wanted_s = max(least) / 1000
    rows_per_s = sum(1000 / period_ms for period_ms in periods)
    window_s = min(max(wanted_s, WINDOW_MIN_S), WINDOW_MAX_S, ROWS_MAX / rows_per_s if periods else WINDOW_MIN_S)
    longest_s = max((each.report.every_ms for each in polls if each.report), default=0) / 1000
    window_s -= window_s % longest_s if 0 < longest_s <= window_s else 0  # of whole windows: none is counted in part
    chain, packer, drafts, rows = Chain(site), Packer(BOOT, max_age_ms=max_age_ms), list[Draft](), 0
    for row in takewhile(lambda row: row.at < window_s * 1000, islice(likely.rows(site), ROWS_MAX)):
        drafts += packer.due(row.at, online=True)
        for passed in chain.take(row).items:
            drafts += packer.add(passed)
            rows += isinstance(passed, Row)
    for passed in chain.flush(BootMs(round(window_s * 1000))).items:
        drafts += packer.add(passed)
        rows += isinstance(passed, Row)
    return window_s, rows, drafts + packer.flush()


def thinned(site: Site) -> Site:
    """With a few polls in each window: what is folded costs the uplink the same, however much is read for it."""
    buses = (replace(bus, devices=tuple(_thinned(device) for device in bus.devices)) for bus in site.buses)
    return replace(site, buses=tuple(buses))


def _thinned(device: Device) -> Device:
    return replace(
        device,
        polled=tuple(
            replace(each, period_ms=max(each.period_ms, each.report.every_ms // POLLS_A_WINDOW))
            if each.report
            else each
            for each in device.polled
        ),
    )


def _pings(uplink: UplinkSettings, messages: float) -> float:
    """Nothing is pinged while messages come at least once in a keepalive."""
    keepalives = MONTH_S / uplink.servers[0].keepalive_s
    return max(0.0, keepalives - messages)


# --- payloads, by their encoders --------------------------------------------------------------------------------------


def _messages(
    site: Site, uplink: UplinkSettings, topics: Topics, drafts: Sequence[Draft]
) -> Iterator[tuple[str, bytes]]:
    plain = Plain(uplink.format, site.root, uplink.topic)
    for batch in (_batch(site, draft) for draft in drafts):
        if uplink.plain:
            yield from plain.messages(batch)
        else:
            yield topics.data, wire_batch.encode(batch)


def _batch(site: Site, draft: Draft) -> Batch:
    return Batch(
        id=BatchId(site.gateway, EPOCH, SOME_SEQ),
        stamp=Stamp(SOME_TIME, "ntp"),
        n=draft.n,
        crc=SOME_CRC,
        body=draft.body,
        enc=draft.enc,
    )


def _receipt_bytes(site: Site) -> int:
    receipt = Receipt(site.gateway, EPOCH, ((SOME_SEQ, SOME_CRC),), (), (), "ingest-1", SOME_TIME, __version__)
    return len(wire_receipt.encode(receipt))


def _status_bytes(site: Site) -> int:
    pending = SeqRanges.of([(SOME_SEQ, SOME_SEQ)])
    epoch = EpochStatus(EPOCH, SOME_SEQ - 100_000, SOME_SEQ, pending, SeqRanges())
    broker = site.uplinks[0].servers[0]
    status = Status(
        gateway=site.gateway,
        version=__version__,
        boot=BOOT,
        time=SOME_TIME,
        clock="ntp",
        online=True,
        south=SouthStatus(),
        spool=SpoolStatus(EPOCH, (epoch,), pending=1, oldest_age_ms=500, size_bytes=10**9, gaps=0),
        north=NorthStatus(
            connected=True,
            server=f"{broker.host}:{broker.port}",
            in_flight=1,
            sent_bytes=10**8,
            last_receipt_ms=SOME_TIME,
            settle="receipt",
        ),
        uplinks=tuple(_uplink_status(uplink) for uplink in site.uplinks),
    )
    return len(encode_status(status))


def _uplink_status(uplink: UplinkSettings) -> UplinkStatus:
    return UplinkStatus(uplink.name, uplink.format, uplink.settle, connected=True, pending=1, settled=100_000, parked=0)


def _opened_bytes(broker: Broker, way: _Way) -> float:
    """From the first SYN to the last: handshake and CONNECT."""
    names = len(broker.client_id) + len(broker.username)
    return (
        OPEN_SEGMENTS * HEADERS_BYTES
        + (way.message(HANDSHAKE_BYTES) + 2 * HEADERS_BYTES if way.tls else 0)
        + way.message(CONNECT_BYTES + names)
        + way.message(CONNACK_BYTES)
    )


def _introduced_bytes(site: Site, topics: Topics, way: _Way) -> float:
    """What the centre's has besides: the will, which goes in CONNECT, two subscriptions, the catalog."""
    will = len(encode_will(BOOT)) + len(topics.status)
    subscriptions = sum(way.exchange(SUBSCRIBE_BYTES + len(topic)) for topic in (topics.receipt, topics.command))
    return will + subscriptions + way.exchange(publish_bytes(topics.catalog, len(encode_catalog(catalog(site)))))
