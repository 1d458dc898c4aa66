"""Any MQTT client that may publish anything, and hears the receipts: paho, without a line of ours between."""

import queue
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

WAIT_S = 20.0


class Peer:
    """A context: connected to a broker on loopback."""

    def __init__(self, port: int, name: str = "peer", root: str = "city") -> None:
        self._port, self._filter = port, f"{root}/+/down/receipt"
        self._heard: queue.Queue[dict[str, object]] = queue.Queue()
        self._subscribed: queue.Queue[object] = queue.Queue()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self._client.on_subscribe = lambda *_: self._subscribed.put(None)
        self._client.on_message = lambda _c, _u, message: self._heard.put(orjson.loads(message.payload))
        self.receipts: list[dict[str, object]] = []  # all that were taken

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._client.subscribe(self._filter, qos=1)
        self._subscribed.get(timeout=WAIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(WAIT_S)

    def answers(self, gateway: str) -> Iterator[tuple[int, str]]:
        """What receipts say of a gateway's batches, as it comes: (seq, "stored" or why it was refused)."""
        while True:
            receipt = self._heard.get(timeout=WAIT_S)
            self.receipts.append(receipt)
            if receipt["gw"] == gateway:
                yield from _entries(receipt)


def _entries(receipt: dict[str, object]) -> Iterator[tuple[int, str]]:
    stored, refused = receipt["stored"], receipt["refused"]
    assert isinstance(stored, list)
    assert isinstance(refused, list)
    yield from ((seq, "stored") for seq, _ in stored)
    yield from ((seq, why) for seq, why in refused)
