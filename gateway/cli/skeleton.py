"""gateway profile new: a profile and its vectors to be filled in.

What only a manual can say is left empty, and an empty value is a problem: so `gateway profile check` says, line by
line, what is still to be done. Nothing in it would be taken for a device by itself.
"""

from pathlib import Path
from typing import Final, TextIO

from gateway.profile import vectors
from gateway.profile.literals import model_id

REFUSED: Final = 1
WRONG_ID: Final = 2
HEAD: Final = """\
# Fill in what is empty. What is left to do says: gateway profile check --profiles {folder}
# Every key: docs/reference/profile-file.md. How to go on: docs/how-to/new-profile.md.
[profile]
id = "{id}"
version = 1
kind = "" # that of the devices that measure the same, as air_climate: gateway profile show says it
title = {{ en = "", vi = "" }}
sources = [""] # the manual, with its page
confidence = "" # "one source", "two sources", "one source, the maker"
wiring = {{ en = "", vi = "" }} # supply, wires, what to check
# warnings = [{{ en = "", vi = "" }}] # what an installer must know
"""
MODBUS: Final = """
[modbus]
# As it comes from its maker; where the manual does not say, leave it out, and say so in a warning:
# serial = { baud = 9600, parity = "N", stop_bits = 1 }
# unit_id = 1
table = "" # "holding" is read by function 3, "input" by 4, "coil" by 1, "discrete" by 2
# order = "CDAB" # of 32 bits the low word first
# max_registers = 16 # most that it gives in one read

[fields] # one line each; the name is its quantity: docs/reference/quantities.md
temperature = { address = 0x0000, type = "", unit = "Cel", scale = 0.1, range = [-40, 80] } # type: u16, i16, f32, ...
"""
SERIAL: Final = """
[serial]
line = "9600 8N1" # as it comes from its maker
period = "1s" # how often it sends by itself; of one that is asked, instead:
# poll = "23 {address} 52 0D" # what it is asked, as hex; {address} stands for the address
# address = "01" # as it comes from its maker
# timeout = "300ms" # how long its answer may take to begin
[serial.framing]
kind = "" # "line": until `end`; "fixed": `length` bytes; "length": a number in the frame says
max_bytes = 80
# start = "24" # bytes that begin a frame, as hex
# end = "0D 0A"
# checksum = "xor" # what it covers: checksum_from, checksum_until, checksum_at
[serial.parse]
kind = "" # "split": text between separators; "binary": numbers by `layout` and `names`
separator = "2C"
# content_from = 1 # bytes before the first part; content_until = -2: and how many after the last
# decimal = "," # of numbers as 24,7

[fields] # one line each; the name is its quantity: docs/reference/quantities.md
distance = { part = "0", unit = "m", scale = 0.001, decimals = 3, range = [0.03, 4.5] } # part: number or name
"""
VECTOR: Final = """\
# The proof of the profile: frames, and the values that must come out of them; every field is in one at least.
[[vector]]
about = "" # as: a warm day
evidence = "" # "captured" from a device, "printed" by its maker, "constructed" by you
source = "" # where the frame is from
"""
EXCHANGE: Final = """\
request = "" # with unit_id and checksum; where the checksum is wrong, the check says what it should be
response = ""
[vector.values]
"""
FRAME: Final = """\
frame = "" # as hex, whole; of a device that is asked, instead: request and response
[vector.values]
"""
TEXT: Final = {
    "en": {
        "written": "Written: {}\nWhat is to be filled in says: gateway profile check --profiles {}",
        "there": "{}: there already; nothing was written. Fill it in, or take another folder (--folder).",
        "no_id": "{!r} is no id. Write vendor/model, of a-z, 0-9 and -, as acme/th10.",
    },
    "vi": {
        "written": "Đã tạo: {}\nXem những chỗ cần điền: gateway profile check --profiles {}",
        "there": "{}: đã có sẵn, không ghi gì. Hãy điền tiếp tệp đó, hoặc chọn thư mục khác (--folder).",
        "no_id": "{!r} không phải là id. Viết vendor/model, chỉ gồm a-z, 0-9 và -, ví dụ acme/th10.",
    },
}


def new(wanted: str, folder: Path, lang: str, out: TextIO, *, serial: bool) -> int:
    """VENDOR/MODEL.toml and its vectors in `folder`; exit 1 where one of them is there already, 2 for no such id."""
    text = TEXT.get(lang, TEXT["en"])
    try:
        model_id(wanted)
    except ValueError:
        out.write(text["no_id"].format(wanted) + "\n")
        return WRONG_ID
    path = folder / f"{wanted}.toml"
    files = {
        path: HEAD.format(id=wanted, folder=folder) + (SERIAL if serial else MODBUS),
        vectors.path_of(path): VECTOR + (FRAME if serial else EXCHANGE),
    }
    for file in files:
        if file.exists():
            out.write(text["there"].format(file) + "\n")
            return REFUSED
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        with file.open("x", encoding="utf-8") as written:
            written.write(content)
    out.write(text["written"].format(", ".join(map(str, files)), folder) + "\n")
    return 0
