"""`gateway.wire.topic`: the tree, both ways."""

import pytest

from gateway.errors import Malformed
from gateway.wire.topic import Topics, gateway_of, shared_data

TOPICS = Topics("dn", "hc-0001")


def test_the_tree_is_the_specs() -> None:
    """W-10: six topics, under root and gateway."""
    assert TOPICS.data == "dn/hc-0001/up/data"
    assert TOPICS.status == "dn/hc-0001/up/status"
    assert TOPICS.catalog == "dn/hc-0001/up/catalog"
    assert TOPICS.outcome == "dn/hc-0001/up/outcome"
    assert TOPICS.receipt == "dn/hc-0001/down/receipt"
    assert TOPICS.command == "dn/hc-0001/down/command"


def test_plus_gives_the_filters_of_the_ioc() -> None:
    """W-12: plain subscriptions for documents, one shared one for data."""
    assert Topics("dn", "+").status == "dn/+/up/status"
    assert shared_data("dn") == "$share/ingest/dn/+/up/data"


@pytest.mark.parametrize("root", ["dn", "city/da-nang"])
def test_every_topic_names_its_gateway(root: str) -> None:
    """W-11: the gateway is read from the topic, whatever the root's depth."""
    topics = Topics(root, "hc-0001")
    for topic in (topics.data, topics.status, topics.catalog, topics.outcome, topics.receipt, topics.command):
        assert gateway_of(root, topic) == "hc-0001"


@pytest.mark.parametrize(
    "topic",
    [
        "dn/hc-0001/up/datas",
        "dn/hc-0001/up",
        "dn/hc-0001",
        "dn/HC/up/data",
        "dn//up/data",
        "dn/+/up/data",
        "xx/hc-0001/up/data",
        "dnx/hc-0001/up/data",
        "dn/a/b/up/data",
        "",
    ],
)
def test_other_topics_name_nobody(topic: str) -> None:
    """W-11: refused with the word gateway."""
    with pytest.raises(Malformed) as refused:
        gateway_of("dn", topic)
    assert refused.value.why == "gateway"
