"""What an answer of InfluxDB to a write means: taken, try again, or some row will never be taken. Pure.

A 4xx alone proves nothing: a wrong setting, a full index, a lost database answer 400 or 404 too, and rows that are
thrown away for such an answer are lost. Only three texts name a row; all else is the database's own trouble.

    204                        taken
    400, 422 with a reason     StoreRefused: the guilty rows are dropped, the others are stored
    anything else              StoreBusy

`dropped=` is believed only for the retention: for a conflict, influxd also counts rows that it dropped for other
reasons (a full index), and those are not guilty.

Measured texts: influxd 1.6 answers 400 {"error":"partial write: field type conflict: ... dropped=1"},
{"error":"partial write: unable to parse '...' dropped=0"}, {"error":"partial write: points beyond retention policy
dropped=1"}, and without "partial write" when every line was bad. Version 2 puts the same texts into `message`, as 400
or 422.
"""

import re

from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.store.base import BEYOND_RETENTION, REASONS

OK, NO_CONTENT, BAD_REQUEST, UNPROCESSABLE = 200, 204, 400, 422
DETAIL_MAX_CHARS = 300
_DROPPED = re.compile(r"dropped=([0-9]{1,9})\b")


def judge(status: int, text: str) -> None:
    """Returns when the write was taken; raises StoreRefused or StoreBusy."""
    if status in {OK, NO_CONTENT}:
        return
    if status in {BAD_REQUEST, UNPROCESSABLE}:
        for reason in REASONS:
            if reason in text:
                dropped = _DROPPED.search(text) if reason == BEYOND_RETENTION else None
                raise StoreRefused(reason, text[:DETAIL_MAX_CHARS], int(dropped[1]) if dropped else 0)
    raise StoreBusy(f"{status}: {text[:DETAIL_MAX_CHARS]}")
