"""The shipped units, users, folders and rules: how exposed they are, that systemd understands them, that they agree."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import require

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"), key=lambda path: path.name)
THRESHOLD = 17  # tenths


def settings(unit: Path) -> dict[str, list[str]]:
    """Every value of every key of [Service], in order."""
    found: dict[str, list[str]] = {}
    section = unit.read_text().split("[Service]\n")[1].split("\n[")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_there_are_units() -> None:
    """One a process: the next tests look at all of them."""
    assert [unit.name for unit in UNITS] == ["gateway.service", "ioc-ingest@.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_exposure(unit: Path) -> None:
    """1.7 or less; above the threshold systemd-analyze exits with 1."""
    command = [
        require("systemd-analyze"),
        "security",
        "--offline=true",
        "--no-pager",
        f"--threshold={THRESHOLD}",
        str(unit),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    score = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    assert score is not None
    assert float(score[1]) * 10 <= THRESHOLD


def test_the_exposure_test_can_fail(tmp_path: Path) -> None:
    """Without its call filter the daemon would not pass."""
    text = UNITS[0].read_text()
    worse = tmp_path / "worse.service"
    worse.write_text(re.sub(r"^SystemCallFilter=.*\n", "", text, flags=re.MULTILINE))
    with pytest.raises(AssertionError):
        test_exposure(worse)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units_are_understood(unit: Path, tmp_path: Path) -> None:
    """No unknown key, no bad value: systemd would only warn, and run without it."""
    copy = tmp_path / unit.name.replace("@.", "@1.")
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    done = subprocess.run(
        [require("systemd-analyze"), "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if copy.name in line]
    assert complaints == []


def test_the_daemon_may_read_the_clock_and_never_set_it() -> None:
    """Adjtimex is allowed by name, no other clock call is, and without a capability the kernel refuses every change."""
    service = settings(UNITS[0])
    assert "ProtectClock" not in service
    assert service["CapabilityBoundingSet"] == [""]
    assert service["SystemCallFilter"] == ["@system-service", "~@privileged @resources", "adjtimex clock_adjtime"]


def test_what_starts_is_what_is_installed() -> None:
    """The command lines, and that systemd waits for the word."""
    commands = [settings(unit)["ExecStart"] for unit in UNITS]
    assert commands == [
        ["/opt/gateway/bin/gateway run /etc/gateway/gateway.toml"],
        ["/opt/gateway/bin/gateway ioc ingest /etc/gateway/ioc.toml --name %i"],
    ]
    assert all(settings(unit)["Type"] == ["notify"] and settings(unit)["Restart"] == ["always"] for unit in UNITS)


def test_users_and_groups_agree() -> None:
    """Who the units run as, and the group of the devices, are made by sysusers.d and used by the rules."""
    made = {
        line.split()[1] for line in (SYSTEMD / "sysusers.d/gateway.conf").read_text().splitlines() if line[:1] in "ug"
    }
    used = {name for unit in UNITS for name in settings(unit)["User"] + settings(unit).get("SupplementaryGroups", [])}
    rules = set(re.findall(r'GROUP="([^"]+)"', (SYSTEMD / "99-gateway.rules").read_text()))
    assert used == made == {"gateway", "gateway-ioc", "gateway-serial"}
    assert rules == {"gateway-serial"}


def test_sysusers_and_tmpfiles_are_understood(tmp_path: Path) -> None:
    """Both create what they say, in an empty root."""
    (tmp_path / "etc").mkdir()
    users = subprocess.run(
        [require("systemd-sysusers"), f"--root={tmp_path}", str(SYSTEMD / "sysusers.d/gateway.conf")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert users.returncode == 0, users.stderr
    assert {"gateway", "gateway-ioc"} <= {
        line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()
    }
    folders = subprocess.run(
        [require("systemd-tmpfiles"), "--create", f"--root={tmp_path}", str(SYSTEMD / "tmpfiles.d/gateway.conf")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert folders.returncode == 0, folders.stderr
    assert (tmp_path / "etc/gateway/keys").stat().st_mode & 0o777 == 0o700
