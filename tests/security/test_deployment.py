"""What is shipped beside the code: units that the daemon can live under, rules that udev reads, a lock that holds."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.app import daemon
from tests.support.written import SITE, write
from tests.unit.test_systemd import SYSTEMD, settings

ROOT = Path(__file__).parents[2]
GATEWAY, INGEST = settings(SYSTEMD / "gateway.service"), settings(SYSTEMD / "ioc-ingest@.service")
RULES = (SYSTEMD / "99-gateway.rules").read_text()
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-build.lock"]
MATCHES = {"ACTION", "SUBSYSTEM", "KERNEL", "DRIVER", "ATTRS"}
SETS = {"GROUP", "MODE", "ENV", "ATTR", "GOTO", "LABEL"}
TOKEN = re.compile(r'\s*([A-Z_]+)(\{[A-Za-z0-9_.]+\})?(==|!=|\+=|=)"([^"\n]*)"\s*(?:,|$)')
PERMISSIVE = re.compile(r"MIT|BSD|Apache|PSF-2\.0|ISC|Python Software Foundation")
PER_FILE = {"certifi": "MPL-2.0", "orjson": "MPL-2.0"}  # binds their own files only, which we do not change


def megabytes(text: str) -> int:
    """Of a setting like 256M or 1G."""
    return int(text[:-1]) * {"M": 1, "G": 1024}[text[-1]]


def test_every_rule_is_one_that_udev_reads() -> None:
    """A line it cannot read udev skips, and says so in a journal that nobody reads in a cabinet."""
    for line in RULES.splitlines():
        if not line or line.startswith("#"):
            continue
        at, keys = 0, []
        while at < len(line):
            token = TOKEN.match(line, at)
            assert token, line[at:]
            key, _, operator, value = token.groups()
            assert (key in MATCHES) == (operator in {"==", "!="}), line
            assert key in MATCHES | SETS, key
            assert value
            keys.append(key)
            at = token.end()
        assert keys == ["LABEL"] or keys[-1] in SETS, line


def test_gotos_have_their_labels() -> None:
    """A jump to nowhere is a rule that is ignored."""
    assert set(re.findall(r'GOTO="(\w+)"', RULES)) == set(re.findall(r'LABEL="(\w+)"', RULES))


def test_every_device_that_the_unit_lets_in_is_given_by_a_rule() -> None:
    """DeviceAllow opens the cgroup's door, the group opens the file: one without the other is EACCES."""
    allowed = {value.split()[0].removeprefix("char-") for value in GATEWAY["DeviceAllow"]}
    matched = {name for kernel in re.findall(r'KERNEL=="([^"]+)"', RULES) for name in re.findall(r"tty[A-Z]+", kernel)}
    assert allowed == matched
    assert re.findall(r'MODE="(\d+)"', RULES) == ["0660"] * 2
    assert set(GATEWAY["SupplementaryGroups"]) == set(re.findall(r'GROUP="([^"]+)"', RULES))


def test_the_watchdogs_agree() -> None:
    """Ours looks every third of systemd's time and waits so long for the disk: together less than systemd waits."""
    for unit in (GATEWAY, INGEST):
        seconds = int(unit["WatchdogSec"][0])
        assert seconds / 3 + daemon.DISK_STALLED_S < seconds
        assert unit["NotifyAccess"] == ["main"]


def test_there_is_time_to_start_and_to_stop() -> None:
    """A child may compile for 60 s; the buses and the uplink have their seconds, the disk the rest."""
    from gateway.app.sites import COMPILE_TIMEOUT_S
    from gateway.mqtt.connection import CLOSE_S
    from gateway.north.session import STOP_SEND_MS, STOP_STATUS_MS

    assert int(GATEWAY["TimeoutStartSec"][0]) > COMPILE_TIMEOUT_S
    uplink_s = (STOP_SEND_MS + STOP_STATUS_MS) / 1000 + 2 * CLOSE_S
    assert daemon.BUSES_STOP_S + uplink_s < int(GATEWAY["TimeoutStopSec"][0])


def test_a_compiling_child_fits_beside_the_daemon(tmp_path: Path) -> None:
    """Both are in one control group: beyond MemoryHigh they would crawl, beyond MemoryMax they die."""
    program = (
        "import sys; from gateway.app import compile as c; code = c.main(sys.argv[1:]); "
        "sys.stderr.write(open('/proc/self/status').read()); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, str(write(tmp_path / "gateway.toml", SITE))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    child_mb = int(re.findall(r"VmHWM:\s+(\d+) kB", done.stderr)[0]) / 1024
    assert child_mb + 40 < megabytes(GATEWAY["MemoryHigh"][0]) < megabytes(GATEWAY["MemoryMax"][0])


def test_state_is_ours_and_the_run_folder_is_the_groups() -> None:
    """Readings are for the daemon; the socket is for the technicians of its group; keys are handed over by systemd."""
    assert GATEWAY["StateDirectoryMode"] == INGEST["StateDirectoryMode"] == ["0700"]
    assert GATEWAY["RuntimeDirectoryMode"] == ["0750"]
    assert GATEWAY["UMask"] == INGEST["UMask"] == [f"{daemon.OURS_ALONE:04o}"]
    assert all(len(unit["LoadCredential"]) == 3 and "ReadWritePaths" not in unit for unit in (GATEWAY, INGEST))


def test_the_broker_can_be_reached_by_two_doors_only() -> None:
    """Both ask for a certificate, take its name, and no TLS below 1.2; for gateways it is the client id too."""
    text = (SYSTEMD / "mosquitto" / "mosquitto.conf").read_text()
    doors = re.split(r"^listener ", text, flags=re.MULTILINE)[1:]
    assert [door.splitlines()[0] for door in doors] == ["8883", "8884 127.0.0.1"]
    for door in doors:
        for line in ("require_certificate true", "use_identity_as_username true", "tls_version tlsv1.2"):
            assert f"\n{line}\n" in door
    assert ["use_username_as_clientid true" in door for door in doors] == [True, False]
    assert "\nallow_anonymous false\n" in text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_a_hash_for_everything_and_no_address(lock: Path) -> None:
    """Then pip takes nothing else, from wherever it is told to take it."""
    text = lock.read_text()
    requirements = re.split(r"^(?=\S)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)[1:]
    assert len(requirements) > 2
    for requirement in requirements:
        assert re.match(r"[A-Za-z0-9_.-]+==[^\s;\\]+", requirement), requirement
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", requirement), requirement
    assert re.search(r"https?:|file:|--index-url|--extra-index-url|--find-links|--trusted-host| @ ", text) is None


def test_what_is_installed_is_what_is_locked() -> None:
    """With --require-hashes, and nothing built from elsewhere."""
    script = (ROOT / "scripts" / "venv.sh").read_text()
    installs = [line for line in script.splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps --no-build-isolation" in line for line in installs)
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCKS[0].read_text(), flags=re.MULTILINE))
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in wanted:
        name = re.split(r"[<>=\[ ]", requirement)[0]
        assert importlib.metadata.version(name) == locked[name]


def test_licences_go_with_ours() -> None:
    """What a box or a centre runs may be given on under Apache-2.0: permissive, or bound to its own files."""
    for name in needed("sensor-gateway", {"modbus", "web", "ioc", "demo"}):
        known = importlib.metadata.metadata(name)
        stated = [text[:60] for key in ("License-Expression", "License") for text in known.get_all(key) or ()]
        said = " ".join([*stated, *(text for text in known.get_all("Classifier") or () if text.startswith("License"))])
        assert PERMISSIVE.search(said) or PER_FILE.get(name, "nothing") in said, (name, said)
        if "GPL" in said or "MPL" in said:
            assert name in PER_FILE, (name, said)


def needed(name: str, extras: set[str]) -> set[str]:
    """All that it installs, but itself."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        one, wanted = waiting.pop()
        for text in importlib.metadata.requires(one) or ():
            requirement = Requirement(text)
            fits = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra}) for extra in (*wanted, "")
            )
            if fits and requirement.name not in found | {name}:
                found.add(requirement.name)
                waiting.append((requirement.name, requirement.extras))
    return found
