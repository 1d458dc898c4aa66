"""Files as people write them, for tests: a small profile with its vectors, a small site, and where things stand."""

from collections.abc import Sequence
from pathlib import Path

from gateway.errors import Invalid, Problem

HEAD = """[profile]
id = "acme/probe"
version = 1
kind = "probe"
title = { en = "Probe", vi = "Đầu đo" }
sources = ["its maker"]
confidence = "one source"
"""
PROFILE = f"""{HEAD}
[modbus]
table = "input"
[fields]
temperature = {{ address = 1, type = "i16", unit = "Cel", scale = 0.1 }}
"""
VECTORS = """[[vector]]
about = "a warm day"
evidence = "constructed"
source = "the layout"
request = "01 04 00 01 00 01 60 0A"
response = "01 04 02 01 31 79 74"
values = { temperature = 30.5 }
"""
SITE = """config_version = 1
[gateway]
id = "hc-0001"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:1883"
"""
BUS = """[[bus]]
name = "rs485-1"
port = "/dev/serial/by-id/usb-1"
"""
DEVICE = """[[device]]
name = "probe-1"
bus = "rs485-1"
unit_id = 1
profile = "acme/probe@1"
"""


def write(path: Path, text: str) -> Path:
    """The file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_profile(folder: Path, text: str = PROFILE, vectors: str | None = VECTORS) -> Path:
    """acme/probe.toml in a folder of profiles, with its vectors."""
    if vectors is not None:
        write(folder / "acme" / "probe.vectors.toml", vectors)
    return write(folder / "acme" / "probe.toml", text)


def found(invalid: Invalid) -> list[tuple[str, str]]:
    """(code, path) of each problem."""
    return [(problem.code, problem.path) for problem in invalid.problems]


def codes(problems: Sequence[Problem]) -> list[str]:
    """The codes alone."""
    return [problem.code for problem in problems]


def line_of(text: str, part: str) -> int:
    """The line, from 1, on which `part` first stands."""
    return text[: text.index(part)].count("\n") + 1


def polled_site(endpoint: str, of_bus: str = "") -> str:
    """One device behind TCP, asked ten times a second; `of_bus`: a further line of its bus."""
    return f"""{SITE}[clock]
trust = "system"
[spool]
path = "spool"
quota = "100 MB"
[[bus]]
name = "tcp-1"
host = "{endpoint}"
{of_bus}
[[device]]
name = "probe-1"
bus = "tcp-1"
unit_id = 1
profile = "acme/probe@1"
every = "100ms"
"""
