"""README and docs: what they link, show, name and promise is there."""

import ast
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gateway.cli.main import app
from gateway.config.compile import compile_file, compile_simulator_file
from gateway.config.ioc import read_ioc
from gateway.profile import load
from gateway.sources import shipped
from scripts.reference import leaves
from simulators.converters import converters_of
from simulators.serve import signals_of
from simulators.targets import faults_of

ROOT = Path(__file__).parent.parent.parent.parent
DOCS = ROOT / "docs"
TUTORIAL = DOCS / "tutorial" / "first-site.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
OURS = [page for page in PAGES if "specs" not in page.parts]  # a spec has tests of its own
GUIDES = [TUTORIAL, *sorted((DOCS / "how-to").glob("*.md"))]
TEXTS = sorted((ROOT / "gateway" / "text").glob("*.toml"))
INTERNAL = {"gateway compile"}  # the daemon's child, dispatched in gateway/__main__.py
COMMAND = re.compile(r"(?:sudo |\.venv/bin/)*(gateway(?: .*)?)")


def name_of(value: object) -> str:
    """A page or block as pytest shows it."""
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, without the indentation of a list around them."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """What it links inside the project."""
    found = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page))
    return [target for target in found if not target.startswith(("http:", "https:"))]


def anchors(page: Path) -> set[str]:
    """The headings as links name them."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def shell_lines(page: Path) -> list[str]:
    """What people are to type: lines of shell blocks, and code within sentences."""
    typed = [line.partition(" #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [*typed, *re.findall(r"`([^`\n]+)`", prose(page) if page.suffix == ".md" else page.read_text("utf-8"))]


# --- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of this tree, and to a heading that it has."""
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_can_be_found() -> None:
    """From README and docs/README, by links."""
    found: set[Path] = set()
    ahead = [ROOT / "README.md", DOCS / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in found and page.suffix == ".md":
            found.add(page)
            ahead += [(page.parent / link.partition("#")[0]).resolve() for link in links(page)]
    assert set(DOCS.rglob("*.md")) - found == set()


def test_the_index_of_decisions_lists_all() -> None:
    """Each by its number and title, in order."""
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    titles = [page.read_text("utf-8").partition("\n")[0].removeprefix("# ") for page in pages]
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", (DOCS / "decisions" / "README.md").read_text("utf-8"), re.MULTILINE)
    assert listed == [(title, page.name) for title, page in zip(titles, pages, strict=True)]


# --- examples ---------------------------------------------------------------------------------------------------------


def examples() -> Iterator[tuple[Path, str]]:
    """Every TOML block of tutorial and how-tos."""
    for page in GUIDES:
        for block in blocks(page, "toml"):
            yield page, block


def kind_of(block: str) -> str:
    """Which file it is an example of."""
    heads = {"gateway": "site", "broker": "ioc", "profile": "profile", "vector": "vectors"}
    heads |= dict.fromkeys(("signal", "fault", "converter"), "simulated")
    return next(kind for head, kind in heads.items() if head in tomllib.loads(block))


@pytest.mark.parametrize(("page", "block"), list(examples()), ids=name_of)
def test_every_toml_example_is_right(page: Path, block: str, tmp_path: Path) -> None:
    """Each is read by what would read it, without a problem."""
    path = tmp_path / "example.toml"
    path.write_text(block, "utf-8")
    match kind_of(block):
        case "site":
            assert compile_file(path).site.buses
        case "ioc":
            assert read_ioc(path).dead_letters
        case "simulated":
            check_simulated(path, page, block)
        case kind:
            check_profile(page, tmp_path, kind)


def check_simulated(path: Path, page: Path, block: str) -> None:
    """The page's own site, or the tutorial's, with these tables: every one of them is somebody's."""
    own = [text for text in blocks(page, "toml") if kind_of(text) == "site"]
    bus = '[[bus]]\nname = "tcp-1"\nhost = "127.0.0.1"\n' if "[converter." in block else ""
    path.write_text("\n".join(((own or blocks(TUTORIAL, "toml"))[0], bus, block)), "utf-8")
    compiled = compile_simulator_file(path)
    site, config = compiled.site, compiled.config
    assert signals_of(site, config.signal, 1)
    converters = converters_of(site, config.converter)
    assert len(config.signal) + len(faults_of(site, config.fault)) == block.count("kind =")
    assert len(converters) == block.count("[converter.")


def check_profile(page: Path, folder: Path, kind: str) -> None:
    """The page's profiles, each with the vectors that follow it, beside the shipped ones: no meaning is in conflict."""
    texts = [text for text in blocks(page, "toml") if kind_of(text) in ("profile", "vectors")]
    assert [kind_of(text) for text in texts] == ["profile", "vectors"] * (len(texts) // 2)
    assert kind in ("profile", "vectors")
    (folder / "example.toml").unlink()
    for profile, vectors in zip(texts[::2], texts[1::2], strict=True):
        vendor, model = tomllib.loads(profile)["profile"]["id"].split("/")
        (folder / vendor).mkdir(exist_ok=True)
        (folder / vendor / f"{model}.toml").write_text(profile, "utf-8")
        (folder / vendor / f"{model}.vectors.toml").write_text(vectors, "utf-8")
        assert f"{vendor}/{model}@1" in load.load([shipped(), folder]).profiles


@pytest.mark.parametrize(
    "name", ["install", "write-to-a-device", "second-uplink", "take-the-readings-by-hand", "report-and-correct"]
)
def test_what_technicians_read_is_the_same_in_both_languages(name: str) -> None:
    """Line for line what is typed and written, but for comments and the choice of language."""
    english, vietnamese = DOCS / "how-to" / f"{name}.md", DOCS / "how-to" / f"{name}.vi.md"
    assert [*map(tomllib.loads, blocks(english, "toml"))] == [*map(tomllib.loads, blocks(vietnamese, "toml"))]
    typed = [[line for line in shell_block_lines(page) if "GATEWAY_LANG" not in line] for page in (english, vietnamese)]
    assert typed[0] == typed[1] != []


@pytest.mark.parametrize("name", ["new-profile", "read-m-bus-meters", "protocol-plugin", "recall", "ingest"])
def test_what_integrators_read_shows_the_same_blocks_in_both_languages(name: str) -> None:
    """Byte for byte, so what is tested of one page is tested of the other; and as many rows in each table."""
    english, vietnamese = DOCS / "how-to" / f"{name}.md", DOCS / "how-to" / f"{name}.vi.md"
    assert fenced(english) == fenced(vietnamese) != []
    assert [row.count("|") for row in rows(english)] == [row.count("|") for row in rows(vietnamese)]


def test_the_two_languages_of_a_page_name_each_other() -> None:
    """Above all else, so who opened the wrong one sees it; and the index names both."""
    index = (DOCS / "README.md").read_text("utf-8")
    pairs = sorted((DOCS / "how-to").glob("*.vi.md"))
    assert len(pairs) > 10
    for vietnamese in pairs:
        english = vietnamese.with_name(vietnamese.name.replace(".vi.md", ".md"))
        assert english.name in "".join(vietnamese.read_text("utf-8").splitlines(keepends=True)[:8]), vietnamese.name
        assert vietnamese.name in "".join(english.read_text("utf-8").splitlines(keepends=True)[:8]), english.name
        assert f"how-to/{vietnamese.name}" in index, vietnamese.name


def fenced(page: Path) -> list[str]:
    """Every fenced block, whatever its language."""
    return re.findall(r"^```\w*\n.*?^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def rows(page: Path) -> list[str]:
    """The rows of its tables."""
    return re.findall(r"^\|.*\|$", prose(page), re.MULTILINE)


def shell_block_lines(page: Path) -> list[str]:
    """Without comments."""
    return [line.partition(" #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]


# --- commands ---------------------------------------------------------------------------------------------------------


def wrong_with(line: str) -> str:
    """Why this cannot be typed; empty when it can."""
    tokens = shlex.split(line)
    if " ".join(tokens[:2]) in INTERNAL or tokens[1:2] == ["--help"] or "COMMAND" in tokens:
        return ""
    known = dict(leaves(typer.main.get_command(app), "gateway"))
    name = next((name for name in sorted(known, key=len, reverse=True) if f"{line} ".startswith(f"{name} ")), None)
    if name is None:
        return f"no such command: {line}"
    return wrong_arguments(known[name], tokens[len(name.split()) :])


def wrong_arguments(command: Any, tokens: list[str]) -> str:
    """Options that it has not, or too much of what is none."""
    options = {name: parameter for parameter in command.params for name in parameter.opts if name.startswith("--")}
    left = list(tokens)
    files = 0
    while left:
        token, _, value = left.pop(0).partition("=")
        if re.match(r"-(?![\d.])", token):  # a negative number is none
            if token not in options:
                return f"{command.name} has no {token}"
            if not value and not getattr(options[token], "is_flag", False):
                left = left[1:]
        else:
            files += 1
    arguments = [parameter for parameter in command.params if not parameter.opts[0].startswith("--")]
    room, any_number = len(arguments), any(parameter.nargs == -1 for parameter in arguments)
    return f"{command.name} takes {room} arguments" if files > room and not any_number else ""


@pytest.mark.parametrize("page", [*OURS, *TEXTS], ids=name_of)
def test_every_command_that_is_named_exists(page: Path) -> None:
    """With the options that it is given there; in what people are told to do, too."""
    named = [found[1] for line in shell_lines(page) if (found := COMMAND.fullmatch(line))]
    assert [wrong for line in named if line != "gateway" and (wrong := wrong_with(line))] == []


def test_a_wrong_command_is_noticed() -> None:
    """The check itself can fail."""
    assert wrong_with("gateway chek") != ""
    assert wrong_with("gateway check --fast") != ""
    assert wrong_with("gateway status x") != ""
    assert wrong_with("gateway ioc audit ioc.toml --gateway hc-0001") == ""


def test_the_checks_look_at_something() -> None:
    """Enough links, examples, commands and tests are found to be worth a check."""
    assert len({line for page in OURS for line in shell_lines(page) if COMMAND.fullmatch(line)}) > 20
    assert len({found for page in OURS for found in NAMED_TEST.findall(page.read_text("utf-8"))}) > 20
    assert sum(len(links(page)) for page in PAGES) > 50
    assert {kind_of(block) for _, block in examples()} == {"site", "ioc", "profile", "vectors", "simulated"}


MODULES = sorted({
    (module, option)
    for page in OURS
    for line in shell_lines(page)
    for module, rest in re.findall(r"python -m ((?:simulators|scripts|tests)[.\w]*)(.*)", line)
    for option in re.findall(r"--[a-z-]+", rest) or ["--help"]
})  # fmt: skip


@pytest.mark.parametrize(("module", "option"), MODULES)
def test_every_module_that_is_run_has_its_options(module: str, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As its own help says."""
    package = (ROOT / module.replace(".", "/")).is_dir()
    found = importlib.import_module(f"{module}.__main__" if package else module)
    with pytest.raises(SystemExit):
        found.main(["--help"])
    assert option in re.findall(r"--[a-z-]+", capsys.readouterr().out)


def test_every_make_target_exists() -> None:
    """And README's two commands are the demo and the tests."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {target for page in OURS for line in shell_lines(page) for target in re.findall(r"^make ([a-z]+)", line)}
    assert named <= targets
    assert [line.split()[:2] for line in blocks(ROOT / "README.md", "sh")[0].splitlines()] == [
        ["make", "demo"],
        ["make", "test"],
    ]


# --- promises ---------------------------------------------------------------------------------------------------------

NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def names_of_tests(path: Path) -> set[str]:
    """The names that pytest collects from a file."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if name.lower().startswith("test")}


@pytest.mark.parametrize("page", OURS, ids=name_of)
def test_every_test_that_is_named_exists(page: Path) -> None:
    """By file, and by name where one is given; a file that is named holds tests."""
    for file, name in NAMED_TEST.findall(page.read_text("utf-8")):
        if not Path(file).name.startswith("test_"):
            assert (ROOT / file).exists(), file  # a tool, not a test
            continue
        assert names_of_tests(ROOT / file), file
        assert not name or name in names_of_tests(ROOT / file), f"{file}::{name}"


def test_every_promise_names_its_test_or_says_not_yet() -> None:
    """P1 to P9, each with a test that shows it, or with what is missing."""
    rows = re.findall(r"^\| (P\d) \|(.*)\|$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert [number for number, _ in rows] == [f"P{n}" for n in range(1, 10)]
    for number, rest in rows:
        _, shown, not_yet = (cell.strip() for cell in rest.split("|"))
        assert NAMED_TEST.search(shown) or not_yet, number
