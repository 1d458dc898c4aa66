"""The running daemon, not only its imports: what it holds after it has polled, stored and connected."""

import subprocess
import sys
import time
from pathlib import Path

from gateway.app.demo import embedded_broker
from gateway.app.demo_site import broker_text, site_text
from scripts.light import HEAVY
from tests.support.servers import free_port

# Runs the daemon in a process that writes down its modules once the spool has batches, then ends it as systemd would.
LAUNCHER = """
import os, signal, sys, threading, time
from pathlib import Path
def tell():
    spool = Path(sys.argv[2])
    while not (spool / "control.sock").exists():
        time.sleep(0.05)
    time.sleep(3)
    Path(sys.argv[3]).write_text("\\n".join(sorted(sys.modules)))
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=tell, daemon=True).start()
from gateway.app import daemon
sys.exit(daemon.main([sys.argv[1]]))
"""


def test_the_running_daemon_holds_nothing_heavy(tmp_path: Path) -> None:
    """After polls, appends and a connection its `sys.modules` has no pydantic, Typer, rich, pymodbus or web stack."""
    port, site = free_port(), tmp_path / "site.toml"
    (tmp_path / "broker.toml").write_text(broker_text(port))
    site.write_text(site_text(tmp_path, port, (free_port(), free_port())))
    broker = embedded_broker(tmp_path / "broker.toml")
    simulators = subprocess.Popen([sys.executable, "-m", "simulators", str(site)])
    try:
        while not (tmp_path / "dust-line").is_symlink():
            time.sleep(0.05)
        done = subprocess.run(
            [sys.executable, "-c", LAUNCHER, str(site), str(tmp_path / "spool"), str(tmp_path / "modules")],
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
    finally:
        simulators.terminate()
        simulators.wait()
        broker.stop()
    assert done.returncode == 0, done.stderr
    modules = set((tmp_path / "modules").read_text().split("\n"))
    assert {"gateway.south.links.guard", "gateway.spool.file", "gateway.north.session", "sqlite3", "paho"} <= modules
    assert modules & HEAVY == set()
