"""docs/reference, written from the code: every device, command, key, code and quantity.

    python -m scripts.reference            write the pages
    python -m scripts.reference --check    name the pages that are stale; exit status 1 when there is one

Types, bounds and defaults come from the models that read the files, texts from `gateway.text`, devices from their
profiles and vectors. What a key is for is the one thing the code does not say: it stands in docs/reference/keys.toml,
and a key without a sentence there, or a sentence without a key, is an error. The same tree gives the same bytes.
"""

import argparse
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any, Final, Literal

import typer

from gateway.cli.main import app
from gateway.config.gateway import GatewayConfig
from gateway.config.ioc import IocFile
from gateway.profile import load, vectors
from gateway.profile.profile import Field, Line, LocalSource, ModbusSource, Profile, ProtocolSource, Setup
from gateway.profile.quantities import Quantity, quantities
from gateway.profile.schema import ProfileSchema
from gateway.profile.units import Unit, units
from gateway.profile.word import BYTES
from gateway.text import words
from gateway.toml_file import Strict, read_located
from scripts import schemas
from scripts.reference_keys import default, kind, sections

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"
DEVICES = "devices"  # the folder with a page for each model
SCHEMAS = "schemas"  # the folder with a schema for each kind of file
NOTE = "<!-- Written by `python -m scripts.reference` from the code: do not edit. -->"
HEADS = {
    "en": ("key", "value", "default", "what it is for", "needed", "Planned; refused today as `not_built_yet`:"),
    "vi": ("khoá", "giá trị", "mặc định", "ý nghĩa", "bắt buộc", "Dự kiến; hiện bị từ chối (`not_built_yet`):"),
}

FOLDED: Final = {
    "mean": "the arithmetic mean; with `_min` and `_max`",
    "energy_mean": "the mean of what the decibels stand for, in decibels (Leq); with `_min` and `_max`",
    "vector_mean": "the mean direction: 350 and 10 degrees are 0, not 180",
    "last": "the newest: of counters (`counter = true` in the profile), yes or no, texts",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or say which differ from what would be written."""
    parser = argparse.ArgumentParser(prog="python -m scripts.reference", description="Write docs/reference.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page is stale")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pages are (default: docs/reference)")
    options = parser.parse_args(arguments)
    stale = [name for name, text in pages().items() if _read(options.folder / name) != text]
    gone = [path for path in (options.folder / DEVICES).glob("*.md") if f"{DEVICES}/{path.name}" not in pages()]
    if options.check:
        for path in (*(options.folder / name for name in stale), *gone):
            print(f"{path} is stale: run python -m scripts.reference")
        return int(bool(stale or gone))
    for below in (DEVICES, SCHEMAS):
        (options.folder / below).mkdir(exist_ok=True)
    for name in stale:
        (options.folder / name).write_text(pages()[name], "utf-8")
    for path in gone:
        path.unlink()
    return 0


@cache
def pages() -> Mapping[str, str]:
    """Every page by its file name."""
    made: dict[str, Callable[[], Iterable[str]]] = {
        "devices.md": devices,
        "commands.md": commands,
        "site-file.md": lambda: site_page("en"),
        "site-file.vi.md": lambda: site_page("vi"),
        "profile-file.md": profile_page,
        "ioc-file.md": ioc_page,
        "codes.md": codes,
        "quantities.md": quantity_page,
    }
    for model, refs in models().items():
        made[f"{DEVICES}/{_page(model)}"] = partial(device_page, model, refs)
    found = {name: "\n".join([NOTE, *lines()]).rstrip() + "\n" for name, lines in made.items()}
    return found | {f"{SCHEMAS}/{name}.json": schemas.text(name, _keys()) for name in schemas.FILES}


def _keys() -> dict[str, dict[str, str]]:
    return tomllib.loads((FOLDER / "keys.toml").read_text("utf-8"))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A Markdown table, and the empty line behind it."""
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
    yield ""


def _read(path: Path) -> str:
    return path.read_text("utf-8") if path.exists() else ""


# --- devices ----------------------------------------------------------------------------------------------------------


def devices() -> Iterator[str]:
    """Each profile that is shipped: how it is connected, how far to believe it, how many fields and vectors."""
    about = "Profiles that come with this version, each with a page: wiring, warnings, every field."
    yield from ("# Devices", "", f"{about} A site file names one as `vendor/model@version`.", "")
    heads = ("profile", "device", "transport, as it comes", "confidence", "fields", "vectors")
    yield from table(heads, (_overview(model, ref) for model, refs in models().items() for ref in refs))


@cache
def shipped() -> load.Library:
    """What comes with this version."""
    return load.load([ROOT / "device_profiles"])


def models() -> Mapping[str, list[str]]:
    """The refs of each vendor/model, newest first."""
    found: dict[str, list[str]] = {}
    for ref in sorted(shipped().profiles, key=lambda ref: (ref.partition("@")[0], -int(ref.partition("@")[2]))):
        found.setdefault(ref.partition("@")[0], []).append(ref)
    return found


def device_page(model: str, refs: Sequence[str]) -> Iterator[str]:
    """One model, in each version."""
    library = shipped()
    yield from (f"# {model}", "", "[All devices](../devices.md)", "")
    for ref in refs:
        yield from _device(library.profiles[ref], library.files[ref], library.variants.get(ref, {}))


def _page(model: str) -> str:
    return f"{model.replace('/', '-')}.md"


def _overview(model: str, ref: str) -> tuple[str, ...]:
    profile = shipped().profiles[ref]
    counted = str(len(_frames(shipped().files[ref])))
    old = shipped().deprecated.get(ref)
    standing = f"; deprecated by `{old.by}`" if old else ""
    link = f"[`{ref}`]({DEVICES}/{_page(model)})"
    fields = str(len(profile.reported))
    return (
        link,
        _both(profile.title),
        _transport(profile, shipped().files[ref]),
        f"{profile.confidence}{standing}",
        fields,
        counted,
    )


def _frames(path: Path) -> Sequence[vectors.VectorSchema]:
    beside = vectors.path_of(path)
    return vectors.read(beside).value.vector if beside.exists() else ()  # what is handed in has none


def _device(profile: Profile, path: Path, variants: Mapping[str, Profile]) -> Iterator[str]:
    head = read_located(path, ProfileSchema).value.profile
    factory = " from the factory" if isinstance(profile.source, ModbusSource) else ""
    frames = _frames(path)
    yield from (
        f"## {profile.ref}",
        "",
        f"{_both(profile.title)}. Kind `{profile.kind}`. {_transport(profile, path)}{factory}.",
        "",
    )
    for warning in head.warnings:
        yield f"- **Note:** {_both(warning.pairs())}"
    if head.wiring:
        yield f"- **Wiring:** {_both(head.wiring.pairs())}"
    if head.deprecated:
        yield f"- Deprecated by `{head.deprecated.by}`: {_both(head.deprecated.why.pairs())}"
    yield f"- Confidence: {profile.confidence}. Sources: {'; '.join(head.sources)}."
    counted = sorted(Counter(frame.evidence for frame in frames).items())
    if frames:
        yield f"- Vectors: {len(frames)} ({', '.join(f'{count} {evidence}' for evidence, count in counted)})."
    for name, variant in variants.items():
        yield f"- Variant `{name}`: {_both(variant.title)}."
    if isinstance(profile.source, ModbusSource) and profile.source.setup:
        yield f"- Set up by {_setup(profile.source.setup)}."
    yield ""
    if isinstance(profile.source, ModbusSource) and (wanted := profile.source.sunspec):
        models = f"SunSpec model {', '.join(map(str, wanted.models))} of {wanted.length} registers"
        yield from (f"{models}. The gateway finds out where it stands; addresses count from its header.", "")
    fields = [_field(profile, field) for field in profile.fields]
    yield from table(("field", "unit", "decimals", "plausible", "class", "where"), fields)


def _setup(setup: Setup) -> str:
    """Where address and line are set, and to what."""
    told = [] if setup.unit_id is None else [f"`unit_id` at {setup.unit_id:#06x}"]
    for name, address, words_of in (("baud", setup.baud, setup.bauds), ("parity", setup.parity, setup.parities)):
        if address is not None:
            told.append(f"`{name}` at {address:#06x} ({', '.join(f'{meant} = {raw}' for raw, meant in words_of)})")
    return f"{', '.join(told)}, each written as {setup.type}"


def _transport(profile: Profile, path: Path) -> str:
    """As it comes from the factory; what its profile leaves out is not known."""
    source = profile.source
    if isinstance(source, ModbusSource):
        written = read_located(path, ProfileSchema).value.modbus
        told = written.model_fields_set if written else ()
        line = _line(source.line) if "serial" in told else "line not known"
        return f"Modbus, {line}, unit_id {source.unit_id if 'unit_id' in told else 'not known'}"
    if isinstance(source, LocalSource):
        return "handed in by a program of the box"
    if isinstance(source, ProtocolSource):
        return f"protocol {source.protocol}, {_line(source.line)}, address {source.address or 'none'}"
    if source.poll:
        return f"serial, asked, {_line(source.line)}, address {source.poll.address or 'none'}"
    return f"serial stream, {_line(source.line)}, a frame every {source.period_ms / 1000:g} s"


def _line(line: Line) -> str:
    return f"{line.baud} {line.bits}{line.parity}{line.stop_bits}"


def _field(profile: Profile, field: Field) -> tuple[str, ...]:
    bounds = [] if field.low is None or field.high is None else [f"{field.low:g} to {field.high:g}"]
    space = profile.address_space(field)
    place = f"{space} {field.address:#06x} {field.type}" if field.table else f"part `{field.part}`"
    where = ", ".join([*([place] if field.table or field.part else []), *_shape(field)]) or "-"
    number = field.letter == "f"
    decimals = str(field.decimals) if number else "-"
    meaning = "" if field.quantity in ("", field.name) else f" ({field.quantity})"
    read = "on request" if field.parameter else "with others" if field.hidden else field.every
    return f"`{field.name}`{meaning}", _unit(field.unit), decimals, *(bounds or ["-"]), read, where


def _shape(field: Field) -> Iterator[str]:
    """What is more than a plain number."""
    if field.bits and field.type in BYTES:
        yield "high byte" if field.bits[0] else "low byte"
    elif field.bits:
        lowest, count = field.bits
        yield f"bit {lowest}" if count == 1 else f"bits {lowest} to {lowest + count - 1}"
    if field.length:
        yield f"{field.length} registers"
    if field.labels:
        yield "; ".join(f"{raw} = {label}" for raw, label in field.labels)
    if field.scale_from:
        yield f"times 10 to the power of `{field.scale_from}`"
    if field.not_fitted:
        yield "0 = not fitted"
    if field.write:
        yield "may be written"


def _unit(unit: str) -> str:
    return f"`{unit}`" if unit else "-"


def _both(texts: Iterable[tuple[str, str]]) -> str:
    told = dict(texts)
    return f"{told['en']} / {told['vi']}"


# --- commands ---------------------------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """Each command with its arguments and options, as Typer knows them."""
    yield from ("# Commands", "", "`gateway COMMAND --help` says the same. Exit statuses: [README.md](README.md).", "")
    for name, command in leaves(typer.main.get_command(app), "gateway"):
        yield from (f"## {name}", "", str(command.help), "")
        if command.params:
            yield from table(("argument", "default", "environment", "meaning"), map(_parameter, command.params))


def leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's own classes are private
    """(full name, command) of what can be run."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
    for word, each in sorted((below or {}).items()):
        yield from leaves(each, f"{name} {word}")


def _parameter(parameter: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    option = parameter.opts[0].startswith("-")
    name = parameter.opts[0] if option else parameter.metavar
    flag = getattr(parameter, "is_flag", False)
    default = "-" if flag or parameter.default is None else f"`{parameter.default}`"
    shown = name if flag or not option else f"{name} {name.lstrip('-').upper()}"
    more = ", may be given more than once" if getattr(parameter, "multiple", False) else ""
    return f"`{shown}`", default, parameter.envvar or "-", f"{parameter.help or 'the file'}{more}"


# --- keys -------------------------------------------------------------------------------------------------------------


def site_page(lang: Literal["en", "vi"]) -> Iterator[str]:
    """gateway.toml, in the language of who writes it."""
    title, about = {
        "en": (
            "Site file",
            "What one gateway reads: `/etc/gateway/gateway.toml`. `gateway check` prints every problem.",
        ),
        "vi": (
            "Tệp cấu hình",
            "Những gì một gateway đọc: `/etc/gateway/gateway.toml`. `gateway check` liệt kê mọi lỗi.",
        ),
    }[lang]
    other = {"en": "[Tiếng Việt](site-file.vi.md)", "vi": "[English](site-file.md)"}[lang]
    yield from (f"# {title}", "", f"{about} {other}.", "")
    yield from key_tables(GatewayConfig, "site" if lang == "en" else "site_vi", lang)


def profile_page() -> Iterator[str]:
    """A profile and its vectors."""
    how = "How to write one: [../how-to/new-profile.md](../how-to/new-profile.md)."
    yield from ("# Profile file", "", f"What one device model is: `VENDOR/MODEL.toml`. {how}", "")
    yield from key_tables(ProfileSchema, "profile", "en")
    yield from ("# Vectors file", "", "The proof of a profile: `VENDOR/MODEL.vectors.toml` beside it.", "")
    yield from key_tables(vectors.VectorsSchema, "vectors", "en")


def ioc_page() -> Iterator[str]:
    """ioc.toml."""
    about = "What the centre's processes are told: `/etc/gateway/ioc.toml`."
    how = "How to use it: [../how-to/ingest.md](../how-to/ingest.md)."
    yield from ("# IOC file", "", f"{about} {how}", "")
    yield from key_tables(IocFile, "ioc", "en")


def key_tables(model: type[Strict], words_of: str, lang: str) -> Iterator[str]:
    """Each table of a file; raises ValueError for keys without a sentence, and for sentences without a key."""
    said = _keys()[words_of]
    found = list(sections(model))
    known = {key.path for section in found for key in section.keys}
    if known != said.keys():
        raise ValueError(f"docs/reference/keys.toml, [{words_of}]: {sorted(known ^ said.keys())}")
    key_head, value_head, default_head, about_head, needed, planned = HEADS[lang]
    for section in found:
        yield from (f"## `{section.head}`", "") if section.head else ()
        rows = ((f"`{k.name}`", kind(k.info), default(k.info, needed), said[k.path]) for k in section.keys)
        yield from table((key_head, value_head, default_head, about_head), rows)
        if section.model.not_built:
            yield from (f"{planned} {', '.join(f'`{name}`' for name in sorted(section.model.not_built))}.", "")


# --- codes and quantities ---------------------------------------------------------------------------------------------


def codes() -> Iterator[str]:
    """Each code with what it means and what to do, in both languages, in the order of gateway/text."""
    yield from ("# Codes", "", "What a code means, and what to do now. / Ý nghĩa của mã, và việc cần làm.", "")
    for head, names in _code_groups():
        yield from (f"## {head[0].upper()}{head[1:]}", "")
        yield from table(("code", "English", "Tiếng Việt"), ((f"`{c}`", _said(c, "en"), _said(c, "vi")) for c in names))


def _code_groups() -> Iterator[tuple[str, list[str]]]:
    """The parts of en.toml by their comments."""
    text = resources.files("gateway.text").joinpath("en.toml").read_text("utf-8")
    for part in text.split("\n# --- ")[1:]:
        yield part.partition(" ---")[0], re.findall(r"^\[(\w+)\]$", part, re.MULTILINE)


def _said(code: str, lang: str) -> str:
    step = words.next_step(code, lang)
    return f"**{words.title(code, lang)}.** {step}" if step else words.title(code, lang)


def quantity_page() -> Iterator[str]:
    """The controlled list."""
    about = "What a field means city-wide. A letter: `f` number, `b` boolean, `s` text. Units are UCUM."
    yield from ("# Quantities", "", about, "")
    folded = "what `report = { every = ... }` makes of the readings of a window, each with `_n`, how many."
    yield from (f"**Folded into**: {folded}", "")
    yield from (*(f"- `{kind}`: {said}" for kind, said in FOLDED.items()), "")
    rows = (
        (
            f"`{q.name}`",
            _unit(q.unit),
            q.letter,
            ", ".join(f"`{kind}`" for kind in _folded(q)),
            *(dict(q.title)[lang] for lang in ("en", "vi")),
            _fiware(q),
        )
        for q in _listed()
    )
    yield from table(("quantity", "unit", "letter", "folded into", "English", "Tiếng Việt", "FIWARE"), rows)
    yield from ("## Units", "", "As others call them; - where they have no name for it.", "")
    own = "; ".join(f"`{q.name}`: `{q.senml}`" for q in _listed() if q.senml)
    yield from table(
        ("UCUM", "UN/CEFACT", "SenML primary", "SenML secondary"),
        ((_unit(u.ucum), _unit(u.uncefact), _primary(u), _unit(u.secondary)) for u in units().values()),
    )
    yield from (f"SenML has a unit of its own for {own}.", "")


def _folded(quantity: Quantity) -> list[str]:
    """As the profiles that are shipped have it, `last` for counters; else as a field that is no counter would."""
    fields = [field for profile in shipped().profiles.values() for field in profile.fields]
    found = {field.aggregate for field in fields if field.quantity == quantity.name and not field.hidden}
    return sorted(found) or [quantity.aggregate or ("mean" if quantity.letter == "f" else "last")]


def _fiware(quantity: Quantity) -> str:
    factor = "" if quantity.fiware_factor == 1.0 else f", value x {quantity.fiware_factor:g}"
    return f"`{quantity.fiware}`{factor}" if quantity.fiware else "-"


def _primary(unit: Unit) -> str:
    return _unit(unit.senml) + ("" if unit.factor == 1.0 else f", value x {unit.factor:g}")


def _listed() -> list[Quantity]:
    return sorted(quantities().values(), key=lambda quantity: quantity.name)


if __name__ == "__main__":
    sys.exit(main())
