"""gateway.config.uplinks: where and how to send."""

import re
from pathlib import Path

import pytest

from gateway import toml_file
from gateway.config.findings import Findings
from gateway.config.gateway import GatewayConfig
from gateway.config.uplinks import SYSTEM_CA, compile_uplinks
from gateway.errors import Invalid
from gateway.seams import Broker, Tls
from gateway.site import UplinkSettings
from tests.support.written import SITE, codes, write

SERVERS = """[[uplink]]
name = "ioc"
network = "mobile"
[[uplink.server]]
url = "mqtts://ioc.danang.example"
ca = "tls/ca.pem"
certificate = "/etc/gateway/cert.pem"
key = "/etc/gateway/key.pem"
crl = "crl.pem"
[[uplink.server]]
url = "mqtts://[fe80::1]:9883"
username = "hc"
password_file = "mqtt-password"
[[uplink.server]]
url = "mqtt://10.0.0.1"
username = "hc"
password_file = "./secret"
"""


def compiled(folder: Path, text: str) -> tuple[tuple[UplinkSettings, ...], list[str]]:
    """The uplinks and the codes of their problems."""
    read = toml_file.read_located(write(folder / "gateway.toml", text), GatewayConfig)
    findings = Findings(read.places)
    return compile_uplinks(read.value, folder, findings), codes(findings.problems)


def test_servers(tmp_path: Path) -> None:
    """Ports by scheme, files beside the site file, the system's CAs when none is named, the id as client id."""
    head = SITE[: SITE.index("[[uplink]]")]
    ((uplink,), problems) = compiled(tmp_path, head + SERVERS)
    assert problems == []
    full = Tls(f"{tmp_path}/tls/ca.pem", "/etc/gateway/cert.pem", "/etc/gateway/key.pem", f"{tmp_path}/crl.pem")
    assert uplink.servers == (
        Broker("ioc.danang.example", 8883, "hc-0001", full, keepalive_s=60),
        Broker("fe80::1", 9883, "hc-0001", Tls(SYSTEM_CA), "hc", keepalive_s=60),
        Broker("10.0.0.1", 1883, "hc-0001", None, "hc", keepalive_s=60),
    )


def test_passwords_stay_in_their_files(tmp_path: Path) -> None:
    """A path is a file; a name alone is a credential of the service, whose folder is known when it runs."""
    head = SITE[: SITE.index("[[uplink]]")]
    ((uplink,), _) = compiled(tmp_path, head + SERVERS)
    assert uplink.password_files == ("", "mqtt-password", f"{tmp_path}/secret")
    assert not any(server.password for server in uplink.servers)


@pytest.mark.parametrize(
    ("network", "age_ms", "keepalive_s", "status_ms"),
    [("wired", 1_000, 15, 60_000), ("mobile", 10_000, 60, 300_000), ("scarce", 60_000, 60, 300_000)],
)
def test_networks(tmp_path: Path, network: str, age_ms: int, keepalive_s: int, status_ms: int) -> None:
    """One word decides how old a batch may get, and what an idle connection costs."""
    ((uplink,), _) = compiled(tmp_path, SITE.replace('"ioc"', f'"ioc"\nnetwork = "{network}"'))
    assert (uplink.max_age_ms, uplink.status_interval_ms) == (age_ms, status_ms)
    assert uplink.servers[0].keepalive_s == keepalive_s


@pytest.mark.parametrize(
    ("url", "noted"),
    [
        ("mqtts://ioc.example", []),
        ("mqtt://localhost", []),
        ("mqtt://127.3.2.1:2000", []),
        ("mqtt://[::1]", []),
        ("mqtt://10.0.0.1", ["clear_text"]),
        ("mqtt://localhost.example", ["clear_text"]),
        ("mqtt://[fe80::1]", ["clear_text"]),
    ],
)
def test_clear_text_off_the_machine_is_noted(tmp_path: Path, url: str, noted: list[str]) -> None:
    """It is allowed, and never silent: `gateway check` and the journal show it."""
    text = re.sub(r'url = "[^"]*"', f'url = "{url}"', SITE)
    read = toml_file.read_located(write(tmp_path / "gateway.toml", text), GatewayConfig)
    findings = Findings(read.places)
    compile_uplinks(read.value, tmp_path, findings)
    assert codes(findings.notes) == noted
    assert [note.path for note in findings.notes] == ["uplink[0].server[0].url"] * len(noted)
    assert findings.problems == []


def test_a_second_uplink_is_not_built_yet(tmp_path: Path) -> None:
    """It is named, never accepted and ignored."""
    second = SITE[SITE.index("[[uplink]]") :].replace('"ioc"', '"other"')
    assert compiled(tmp_path, SITE + second)[1] == ["not_built_yet"]


SECOND = """[[uplink]]
name = "telegraf"
format = "influx"
settle = "puback"
topic = "plant/{kind}/{device}"
[[uplink.server]]
url = "mqtt://127.0.0.1:1884"
"""


def test_a_second_uplink(tmp_path: Path) -> None:
    """Plain messages under a client id of its own, so that both may go to one broker; by default a topic a device."""
    (first, second), problems = compiled(tmp_path, SITE + SECOND)
    assert problems == []
    assert (first.format, first.settle, first.topic, first.plain) == ("batch", "receipt", "", False)
    assert (second.format, second.settle, second.plain) == ("influx", "puback", True)
    assert second.topic == "plant/{kind}/{device}"
    assert [server.client_id for server in second.servers] == ["hc-0001-telegraf"]
    (_, default), _ = compiled(tmp_path, SITE + SECOND.replace('topic = "plant/{kind}/{device}"\n', ""))
    assert default.topic == "{root}/{gateway}/{device}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            SITE + SECOND.replace('"influx"', '"batch"').replace("topic =", "#"),
            "not_built_yet",
        ),
        (SITE.replace('name = "ioc"', 'name = "ioc"\nformat = "json"\nsettle = "puback"'), "bad_value"),
        (SITE + SECOND + SECOND.replace("telegraf", "emqx"), "out_of_bounds"),
    ],
)
def test_roles(tmp_path: Path, text: str, expected: str) -> None:
    """The first takes batches, the second plain messages, and there is no third."""
    assert compiled(tmp_path, text)[1] == [expected]


@pytest.mark.parametrize(
    "topic", ["", "a//b", "/a", "a/", "a/+", "a/#", "$SYS/x", "{unit}/x", "{device", "a b", "city/up/data", "x" * 201]
)
def test_topics_that_are_none(tmp_path: Path, topic: str) -> None:
    """No wildcard, no empty level, no name that we do not fill in, nothing among the topics of the wire."""
    text = SITE + SECOND.replace("plant/{kind}/{device}", topic)
    with pytest.raises(Invalid) as refused:
        compiled(tmp_path, text)
    assert codes(refused.value.problems) in (["bad_topic"], ["out_of_bounds"])


def test_settled_by_the_broker_is_a_note(tmp_path: Path) -> None:
    """`gateway check` says it plainly, of each such uplink."""
    read = toml_file.read_located(write(tmp_path / "gateway.toml", SITE + SECOND), GatewayConfig)
    findings = Findings(read.places)
    compile_uplinks(read.value, tmp_path, findings)
    assert codes(findings.notes) == ["settled_by_broker"]
