"""One line an event, `name key=value ...`, to stderr: the journal adds time and unit."""

import logging
import os

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def start(process: str) -> None:
    """Level by $GATEWAY_LOG (debug, info, warning, error; else info); libraries only when they warn."""
    name = process.replace("%", "%%")  # a worker is named by its operator, and this is a format
    logging.basicConfig(format=f"%(levelname).1s {name} %(name)s %(message)s", level=logging.WARNING)
    ours = logging.getLogger("gateway")
    level = os.environ.get("GATEWAY_LOG", "INFO").upper()
    ours.setLevel(level if level in LEVELS else "INFO")
    if level not in LEVELS:
        ours.warning("unknown_log_level GATEWAY_LOG=%r level=INFO", level)
