"""One of our commands as another version of it, one that refuses some batches if need be.

    python -m tests.support.other_version VERSION REFUSED_EVERY gateway's arguments...

REFUSED_EVERY 7: an ingest refuses each seq that 7 divides, as `schema`; 0: none.
"""

import sys

import gateway


def main(version: str, refused_every: int, arguments: list[str]) -> int:
    """As `python -m gateway` would, after the version and the rule were changed."""
    gateway.__version__ = version
    if refused_every:
        _refuse(refused_every)
    from gateway.__main__ import main as command

    sys.argv = ["gateway", *arguments]
    return command()


def _refuse(every: int) -> None:
    from gateway.ioc import ingest
    from gateway.ioc.check import Accepted, Refuse, check

    def stricter(*arguments: object) -> object:
        verdict = check(*arguments)  # type: ignore[arg-type] # what it is called with
        if isinstance(verdict, Accepted) and verdict.batch.id.seq % every == 0:
            return Refuse(verdict.batch.id, "schema", "a rule of this version")
        return verdict

    setattr(ingest, "check", stricter)  # noqa: B010 - mypy does not let a module be changed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
