"""A life of a spool in a process of its own: each fact is a line on stdout the moment it is one.

python -m tests.crash.appender FOLDER SEED
"""

import asyncio
import base64
import pickle
import sys
from pathlib import Path

from tests.crash.recorder import Fact
from tests.crash.workload import Life


def line(fact: Fact) -> str:
    """For the pipe."""
    return base64.b64encode(pickle.dumps(fact)).decode()


def fact_of(text: str) -> Fact:
    """From our own child only."""
    fact = pickle.loads(base64.b64decode(text))
    assert isinstance(fact, Fact)
    return fact


def main() -> None:
    """Until it is killed, or its disk goes."""
    folder, seed = Path(sys.argv[1]), int(sys.argv[2])
    life = Life(folder, lambda fact: print(line(fact), flush=True), lambda _: None, seed=seed)
    asyncio.run(life.run())


if __name__ == "__main__":
    main()
