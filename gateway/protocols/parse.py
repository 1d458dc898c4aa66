"""Declared parsing of one frame: split into text parts, or cut into binary parts. Both directions.

STUB: the dataclass is fixed by the foundation; bodies to be written.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parse:
    """How a frame names its parts.

    kind "split": the content (`content_from`..`content_until`) cut at `separator`; part names are "0", "1", ...
    kind "binary": `names` with struct codes in `layout` ("16s"-like codes allowed) from `content_from`.
    `require`: parts that must hold exactly this text, else the frame is a BadReply (a unit letter, a status word).
    """

    kind: str
    content_from: int = 0
    content_until: int = 0  # counted from the end when negative; 0 = to the end
    separator: bytes = b","
    names: tuple[str, ...] = ()
    layout: str = ""  # struct format, with its byte order first: ">HHH"
    require: tuple[tuple[str, str], ...] = ()


def parts(parse: Parse, frame: bytes) -> Mapping[str, str | int | float]:
    """Parts by name: text for split (may be empty), numbers for binary; raises BadReply."""
    ...


def frame_content(parse: Parse, values: Mapping[str, str | int | float]) -> bytes:
    """The simulators' side: the content that `parts` would take apart again."""
    ...
