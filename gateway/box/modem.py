"""The signal of a mobile modem, from ModemManager's own command, where that is installed.

A D-Bus library of ours would cost the daemon more memory than the answer is worth; `mmcli` is asked once a minute, with
a bound in time and size. No modem, no ModemManager, an answer that cannot be read: None, so the field is not fitted.
"""

import asyncio
from pathlib import Path
from typing import Final

import orjson

MMCLI: Final = Path("/usr/bin/mmcli")
TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 64 * 1024


async def signal_percent(command: Path = MMCLI) -> float | None:
    """Of the first modem: ModemManager's signal quality, 0 to 100."""
    try:
        asked = await asyncio.create_subprocess_exec(
            command,
            "--modem=any",
            "--output-json",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=ANSWER_BYTES_MAX,
        )
    except OSError:
        return None  # mostly: it is not installed
    try:
        async with asyncio.timeout(TIMEOUT_S):
            assert asked.stdout is not None, "it is a pipe"  # noqa: S101 - for the type checker
            answer = await asked.stdout.read(ANSWER_BYTES_MAX)
            await asked.wait()
    except TimeoutError:
        return None
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.wait()
    return quality(answer)


def quality(answer: bytes) -> float | None:
    """Out of `{"modem":{"generic":{"signal-quality":{"recent":"yes","value":"67"}}}}`."""
    try:
        told = orjson.loads(answer)["modem"]["generic"]["signal-quality"]["value"]
        percent = float(told)
    except (ValueError, KeyError, TypeError):  # orjson's error is a ValueError
        return None
    return percent if 0 <= percent <= 100 else None  # noqa: PLR2004 - per cent
