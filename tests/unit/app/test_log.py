"""gateway.app.log: what a journal gets, from a process of its own: a test's process has handlers already."""

import os
import subprocess
import sys

HEAD = "import logging, sys\nfrom gateway.app import log\nlog.start(sys.argv[1])\n"


def said(code: str, process: str = "gateway", level: str | None = None) -> str:
    """What a process wrote to stderr that started its log and then did this."""
    env = {name: value for name, value in os.environ.items() if name != "GATEWAY_LOG"}
    command = [sys.executable, "-c", HEAD + code, process]
    done = subprocess.run(
        command, env=env if level is None else env | {"GATEWAY_LOG": level}, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_one_line_an_event() -> None:
    """Level, process, module, event; ours from info on, libraries from warning on."""
    code = """
logging.getLogger("gateway.ioc.ingest").info("started broker=%s", "x")
logging.getLogger("gateway.ioc.ingest").debug("not shown")
logging.getLogger("paho").info("not shown")
logging.getLogger("paho").warning("shown")
"""
    assert said(code, "ingest/a") == "I ingest/a gateway.ioc.ingest started broker=x\nW ingest/a paho shown\n"


def test_the_level_is_chosen() -> None:
    """$GATEWAY_LOG, in any case."""
    assert said('logging.getLogger("gateway.x").debug("shown")', level="debug") == "D gateway gateway.x shown\n"
    assert said('logging.getLogger("gateway.x").info("not shown")', level="WARNING") == ""


def test_an_unknown_level_stops_nothing() -> None:
    """A slip in a unit file is told, and info it is."""
    told = "W gateway gateway unknown_log_level GATEWAY_LOG='LOUD' level=INFO\n"
    assert said('logging.getLogger("gateway.x").info("shown")', level="loud") == told + "I gateway gateway.x shown\n"


def test_a_name_is_no_format() -> None:
    """`--name 50%s` is a name."""
    assert said('logging.getLogger("gateway.x").info("shown")', "ingest/50%s") == "I ingest/50%s gateway.x shown\n"
