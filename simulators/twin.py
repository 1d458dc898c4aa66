"""The twin of a real site: the same buses and devices, none of it real. Pure: text in, text out.

Two files come of gateway.toml. One is for the simulators: each serial port is a link in a folder, each host a free
port of this machine. The other is for a gateway that reads them, with the ports that were found free. What must not
happen is that simulated readings reach the centre in the name of the real box: so the twin has another id, one uplink,
to a broker on this machine, and a spool of its own. What only a real line has (the direction by RTS, another master to
listen to, programs that are served) is left out.
"""

from collections.abc import Mapping
from pathlib import Path

import tomlkit

BROKER = "mqtt://127.0.0.1:1883"
ID_MAX = 32
OF_REAL_LINES = ("rs485", "mode", "serve")
OF_SIMULATORS = ("signal", "fault", "converter")


def simulated(text: str, folder: Path) -> str:
    """The simulators' file; `text` is a site file that has been found right."""
    return _twin(text, folder, {})


def twin(text: str, folder: Path, endpoints: Mapping[str, str]) -> str:
    """The gateway's file; `endpoints` by bus, as the simulators have them."""
    return _twin(text, folder, endpoints)


def _twin(text: str, folder: Path, endpoints: Mapping[str, str]) -> str:
    site = tomlkit.parse(text).unwrap()
    if endpoints:
        site = {key: value for key, value in site.items() if key not in OF_SIMULATORS}
    site["gateway"]["id"] = f"twin-{site['gateway']['id']}"[:ID_MAX].rstrip("-")
    site["gateway"].pop("commands", None)
    site["clock"] = {"trust": "system"}
    site["spool"] = {"path": str(folder / "spool")}
    site["uplink"] = [{"name": site["uplink"][0]["name"], "server": [{"url": BROKER}]}]
    for bus in site.get("bus", []):
        for key in OF_REAL_LINES:
            bus.pop(key, None)
        if "port" in bus:
            bus["port"] = str(folder / bus["name"])
        else:
            bus["host"] = endpoints.get(bus["name"], "127.0.0.1:0")
    return tomlkit.dumps(site)
