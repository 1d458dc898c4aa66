"""gateway profile check|list|show: an author's and a technician's view of the device library."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway import sources
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.errors import Invalid
from gateway.profile import load
from gateway.profile.load import Library
from gateway.profile.profile import Field, Line, LocalSource, ModbusSource, Profile, ProtocolSource
from gateway.profile.schema import ProfileSchema
from gateway.text import words
from gateway.toml_file import read_located

UNKNOWN: Final = 1
TEXT: Final = {
    "en": {
        "profile": "profile", "device": "device", "kind": "Kind: {}", "part": "part {}",
        "none": "No profile fits: {}. All of them: gateway profile list. To write one: gateway profile new.",
        "field": "field", "unit": "unit", "range": "plausible", "where": "where",
        "sunspec": "SunSpec model {} of {} registers: the gateway finds out where it stands; addresses count from it",
        "modbus": "Modbus, from the factory: unit_id {}, {}", "unknown": "not known", "line": "line not known",
        "bit": "bit {}", "bits": "bits {} to {}", "stream": "sends by itself, {}, every {:g} s",
        "local": "handed in by a program of the box",
        "talk": "is asked, {}, address {}", "protocol": "protocol {}, {}, address {}", "alone": "none",
        "sources": "Sources: {} ({})", "file": "File: {}", "variant": "variant", "parameter": "on request",
        "writable": "may be written", "wiring": "Wiring: {}", "replaces": "replaces {}",
        "deprecated": "deprecated by {}", "note": "note",
    },
    "vi": {
        "profile": "hồ sơ", "device": "thiết bị", "kind": "Kind: {}", "part": "phần {}",
        "none": "Không có hồ sơ nào khớp: {}. Xem tất cả: gateway profile list. Tạo mới: gateway profile new.",
        "field": "trường", "unit": "đơn vị", "range": "khoảng hợp lý", "where": "vị trí",
        "sunspec": "Model SunSpec {} dài {} thanh ghi: gateway tự tìm vị trí của model; địa chỉ tính từ đầu model",
        "modbus": "Modbus, xuất xưởng: unit_id {}, {}", "unknown": "chưa rõ", "line": "đường truyền chưa rõ",
        "bit": "bit {}", "bits": "bit {} đến {}", "stream": "tự gửi, {}, mỗi {:g} s",
        "local": "do một chương trình trên hộp đưa vào",
        "talk": "được hỏi, {}, địa chỉ {}", "protocol": "giao thức {}, {}, địa chỉ {}", "alone": "không có",
        "sources": "Nguồn: {} ({})", "file": "Tệp: {}", "variant": "biến thể", "parameter": "khi được hỏi",
        "writable": "ghi được", "wiring": "Đấu dây: {}", "replaces": "thay thế {}",
        "deprecated": "đã được thay bằng {}", "note": "lưu ý",
    },
}  # fmt: skip


def check(folders: Sequence[Path], lang: str, out: TextIO, *, shipped: bool) -> int:
    """Exit 2 when there is a problem; vectors are decoded and encoded as part of it."""
    looked_in = sources.search_path(folders) if shipped or not folders else tuple(folders)
    library = _loaded(looked_in, folders, lang, out)
    if library is None:
        return WRONG_FILE
    out.writelines(paragraph(note, lang) for note in library.notes)
    out.writelines(
        "; ".join((f"{ref}: {len(profile.reported)} fields, {profile.confidence}", *_standing(ref, library, lang)))
        + "\n"
        for ref, profile in sorted(library.profiles.items())
    )
    return 0


def list_(wanted: Sequence[str], folders: Sequence[Path], lang: str, out: TextIO) -> int:
    """The profiles that hold all these words in id, kind or title; exit 1 when there is none, 2 for a broken file."""
    library = _loaded(sources.search_path(folders), folders, lang, out)
    if library is None:
        return WRONG_FILE
    text = TEXT[_known(lang)]
    table = Table(text["profile"], text["device"], text["note"], box=SIMPLE_HEAD, pad_edge=False)
    for ref, profile in sorted(library.profiles.items()):
        if all(word.casefold() in _words(profile) for word in wanted):
            table.add_row(ref, escape(_title(profile, lang)), escape("; ".join(_standing(ref, library, lang))))
    if not table.rows:
        out.write(text["none"].format(" ".join(wanted)) + "\n")
        return UNKNOWN
    Console(file=out).print(table)
    return 0


def show(wanted: str, folders: Sequence[Path], lang: str, out: TextIO) -> int:
    """All that is known of `vendor/model@version`, or of its newest version; exit 1 when there is none."""
    library = _loaded(sources.search_path(folders), folders, lang, out)
    if library is None:
        return WRONG_FILE
    text = TEXT[_known(lang)]
    ref = library.newest(wanted)
    if ref is None:
        out.write(text["none"].format(wanted) + "\n")
        return UNKNOWN
    console, profile = Console(file=out, highlight=False), library.profiles[ref]
    for line in _head(profile, library, lang):
        console.print(escape(line))
    console.print(_fields(profile, lang))
    return 0


def _loaded(looked_in: Sequence[Path], named: Sequence[Path], lang: str, out: TextIO) -> Library | None:
    try:
        load.check_folders(named)
        return load.load(looked_in)
    except Invalid as invalid:
        out.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return None


def _standing(ref: str, library: Library, lang: str) -> Iterator[str]:
    """What is out of the ordinary: it hides another file, or a newer version takes its place."""
    text = TEXT[_known(lang)]
    if ref in library.replaced:
        yield text["replaces"].format(library.replaced[ref])
    if ref in library.deprecated:
        yield text["deprecated"].format(library.deprecated[ref].by)


def _words(profile: Profile) -> str:
    return " ".join((profile.ref, profile.kind, *(title for _, title in profile.title))).casefold()


def _head(profile: Profile, library: Library, lang: str) -> Iterator[str]:
    text, source, path = TEXT[_known(lang)], profile.source, library.files[profile.ref]
    written = read_located(path, ProfileSchema).value
    head = written.profile
    yield f"{profile.ref}  {_title(profile, lang)}"
    yield text["kind"].format(profile.kind)
    if isinstance(source, LocalSource):
        yield text["local"]
    elif isinstance(source, ModbusSource):
        yield text["modbus"].format(*_as_it_comes(written, source, text))
        if source.sunspec:
            models = ", ".join(map(str, source.sunspec.models))
            yield text["sunspec"].format(models, source.sunspec.length)
    elif isinstance(source, ProtocolSource):
        yield text["protocol"].format(source.protocol, _line(source.line), source.address or text["alone"])
    elif source.poll:
        yield text["talk"].format(_line(source.line), source.poll.address or text["alone"])
    else:
        yield text["stream"].format(_line(source.line), source.period_ms / 1000)
    if old := library.deprecated.get(profile.ref):
        yield f"! {text['deprecated'].format(old.by)}: {dict(old.why)[_known(lang)]}"
    yield from (f"! {dict(warning.pairs())[_known(lang)]}" for warning in head.warnings)
    if head.wiring:
        yield text["wiring"].format(dict(head.wiring.pairs())[_known(lang)])
    for name, variant in library.variants.get(profile.ref, {}).items():
        yield f"{text['variant']} {name}: {_title(variant, lang)}"
    yield text["sources"].format("; ".join(head.sources), profile.confidence)
    yield text["file"].format(path)
    if profile.ref in library.replaced:
        yield f"! {text['replaces'].format(library.replaced[profile.ref])}"


def _as_it_comes(written: ProfileSchema, source: ModbusSource, text: Mapping[str, str]) -> tuple[str, str]:
    """unit_id and line; what the profile leaves out is not known, whatever it is read with then."""
    own = written.modbus
    told = own.model_fields_set if own else ()
    return (
        str(source.unit_id) if "unit_id" in told else text["unknown"],
        _line(source.line) if "serial" in told else text["line"],
    )


def _line(line: Line) -> str:
    return f"{line.baud} {line.bits}{line.parity}{line.stop_bits}"


def _fields(profile: Profile, lang: str) -> Table:
    text = TEXT[_known(lang)]
    table = Table(text["field"], text["unit"], text["range"], text["where"], box=SIMPLE_HEAD, pad_edge=False)
    for field in profile.fields:
        if not field.hidden:
            bounds = "" if field.low is None or field.high is None else f"{field.low:g} .. {field.high:g}"
            table.add_row(field.name, escape(field.unit), bounds, ", ".join(_place(profile, field, lang)))
    return table


def _place(profile: Profile, field: Field, lang: str) -> Iterator[str]:
    text = TEXT[_known(lang)]
    if field.table:
        yield f"{profile.address_space(field)} {field.address:#06x} {field.type}"
    else:
        yield text["part"].format(field.part)
    if field.bits:
        lowest, count = field.bits
        yield text["bit"].format(lowest) if count == 1 else text["bits"].format(lowest, lowest + count - 1)
    if field.parameter:
        yield text["parameter"]
    if field.write:
        yield text["writable"]


def _title(profile: Profile, lang: str) -> str:
    return dict(profile.title)[_known(lang)]


def _known(lang: str) -> str:
    return lang if lang in words.LANGUAGES else "en"
