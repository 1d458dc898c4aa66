"""One line an event, `name key=value ...`, to stderr: the journal adds time and unit."""

import logging
import os


def start(process: str) -> None:
    """Level by $GATEWAY_LOG (default info); libraries only when they warn."""
    logging.basicConfig(format=f"%(levelname).1s {process} %(name)s %(message)s", level=logging.WARNING)
    logging.getLogger("gateway").setLevel(os.environ.get("GATEWAY_LOG", "INFO").upper())
