"""gateway.cli.main: the command tree, its exit statuses, and what each command is handed."""

import sys
from pathlib import Path
from typing import Any

import pytest

import gateway.__main__ as entry
from gateway import __version__
from gateway.app import compile as compiler
from gateway.app import daemon
from gateway.cli import check, demo, ioc, main, plan, probe, profile, scan, spool, status


class Called:
    """Takes the place of a command and notes what it was handed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: object, name: str) -> None:
        self.with_: list[tuple[Any, ...]] = []
        monkeypatch.setattr(module, name, self)

    def __call__(self, *arguments: Any, **options: Any) -> int:
        """An exit status that no command has."""
        self.with_.append((*arguments, *options.values()))
        return 42


@pytest.mark.parametrize(
    ("line", "module", "name", "handed"),
    [
        (
            "check a.toml --profiles p --profiles q --lang vi",
            check,
            "check",
            (Path("a.toml"), [Path("p"), Path("q")], "vi"),
        ),
        ("check", check, "check", (Path("/etc/gateway/gateway.toml"), [], "en")),
        ("plan a.toml", plan, "show", (Path("a.toml"), [], "en")),
        ("status --socket s --json", status, "show", (Path("s"), "en", True)),
        (
            "scan ttyUSB0 --unit-ids 1-9 --all --socket s --json --lang vi",
            scan,
            "show",
            (scan.Wanted("ttyUSB0", "", "1-9", Path("s"), (), everything=True), "vi", True),
        ),
        (
            "probe rs485-1 7 0-9 --table input --socket s",
            probe,
            "show",
            (probe.Wanted("rs485-1", 7, "0-9", "input", "", Path("s")), "en", False),
        ),
        ("demo --seconds 3 --plain", demo, "show", (3.0, True)),
        ("demo", demo, "show", (None, False)),
        ("ioc ingest i.toml --name x", ioc, "ingest", (Path("i.toml"), "x", "en")),
        ("ioc audit", ioc, "audit", (Path("/etc/gateway/ioc.toml"), ioc.Look())),
        ("ioc audit i.toml --gateway hc-1", ioc, "audit", (Path("i.toml"), ioc.Look("hc-1"))),
        (
            "ioc audit --from A --to B --json",
            ioc,
            "audit",
            (Path("/etc/gateway/ioc.toml"), ioc.Look(None, "A", "B", True)),
        ),
        (
            "ioc import a.jsonl b.jsonl --file i.toml",
            ioc,
            "import_files",
            (Path("i.toml"), [Path("a.jsonl"), Path("b.jsonl")]),
        ),
        ("spool status --socket s --json", spool, "status", (spool.Where(Path("s")), "en")),
        (
            "spool verify --spool d --lang vi",
            spool,
            "verify",
            (spool.Where(Path("/run/gateway/control.sock"), Path("d")), "vi"),
        ),
        (
            "spool export f --from 2026-11-24 --to 2026-11-25 --epoch e --seqs 1-9 --parked --all --socket s",
            spool,
            "export",
            (
                spool.Where(Path("s")),
                Path("f"),
                spool.Asked("2026-11-24", "2026-11-25", "e", "1-9", parked=True, everything=True),
                "en",
            ),
        ),
        ("spool renew --yes --socket s", spool, "renew", (spool.Where(Path("s")), "en")),
        ("profile check --all --profiles p", profile, "check", ([Path("p")], "en")),
        ("run a.toml --profiles p", daemon, "main", (["a.toml", "--profiles=p"],)),
    ],
)
def test_a_command_is_handed_its_arguments(
    monkeypatch: pytest.MonkeyPatch, line: str, module: object, name: str, handed: tuple[object, ...]
) -> None:
    """And its exit status is ours."""
    monkeypatch.delenv("GATEWAY_LANG", raising=False)
    called = Called(monkeypatch, module, name)
    assert main.main(line.split()) == 42
    assert called.with_[0][: len(handed)] == handed


def test_the_language_may_be_set_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """$GATEWAY_LANG; an option beats it."""
    monkeypatch.setenv("GATEWAY_LANG", "vi")
    called = Called(monkeypatch, plan, "show")
    main.main(["plan"])
    main.main(["plan", "--lang", "en"])
    assert [arguments[2] for arguments in called.with_] == ["vi", "en"]


@pytest.mark.parametrize(
    ("line", "said", "of"),
    [
        ("nonsense", "gateway: No such command 'nonsense'.", ""),
        ("check --nonsense", "gateway: No such option: --nonsense", " check"),
        ("ioc audit --nonsense", "gateway: No such option: --nonsense", " ioc audit"),
        ("check a b", "gateway: Got unexpected extra argument", " check"),
        ("demo --seconds 0", "gateway: Invalid value for '--seconds'", " demo"),
        ("demo --seconds soon", "gateway: Invalid value for '--seconds'", " demo"),
        ("status --socket", "gateway: Option '--socket' requires an argument.", ""),
    ],
)
def test_wrong_usage_is_exit_2(capsys: pytest.CaptureFixture[str], line: str, said: str, of: str) -> None:
    """One line about what is wrong, one about where to look: the command itself; no traceback."""
    assert main.main(line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert err.endswith(f"Try 'gateway{of} --help'.\n")


@pytest.mark.parametrize("line", ["", "ioc", "profile"])
def test_a_noun_alone_shows_what_there_is(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Help, and no empty complaint."""
    assert main.main(line.split()) == 2
    told = capsys.readouterr()
    assert "Usage:" in told.out + told.err
    assert "gateway: \n" not in told.err


def test_help_is_grouped_by_who_needs_it(capsys: pytest.CaptureFixture[str]) -> None:
    """And no command is outside of a group."""
    assert main.main(["--help"]) == 0
    out = capsys.readouterr().out
    at = [out.index(group) for group in (main.SITE, main.CABINET, main.OTHERS)]
    assert at == sorted(at)
    assert "─ Commands ─" not in out
    cabinet = out[at[1] : at[2]]
    for command in ("status", "scan", "probe", "read", "write", "trace"):
        assert f"│ {command} " in cabinet


def test_nothing_of_a_help_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets in a help vanish: there are none."""
    assert main.main(["ioc", "command", "--help"]) == 0
    assert "as its operator" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0."""
    assert main.main(["--help"]) == 0
    assert main.main(["version"]) == 0
    assert capsys.readouterr().out.endswith(f"{__version__}\n")


@pytest.mark.parametrize(("command", "module"), [("run", daemon), ("compile", compiler)])
def test_the_daemon_and_its_child_start_without_the_command_line(
    monkeypatch: pytest.MonkeyPatch, command: str, module: object
) -> None:
    """`python -m gateway run`: Typer is not loaded for what must stay light."""
    called = Called(monkeypatch, module, "main")
    Called(monkeypatch, main, "main")
    monkeypatch.setattr(sys, "argv", ["gateway", command, "a.toml"])
    assert entry.main() == 42
    assert called.with_ == [(["a.toml"],)]


def test_everything_else_goes_to_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Help of `run` too."""
    called = Called(monkeypatch, main, "main")
    for line in (["check"], ["run", "--help"], []):
        monkeypatch.setattr(sys, "argv", ["gateway", *line])
        assert entry.main() == 42
    assert called.with_ == [(["check"],), (["run", "--help"],), ([],)]


def test_ctrl_c_before_there_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """130 also while the command tree is built, and no traceback."""

    def interrupted(*_: object, **_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "app", interrupted)
    assert main.main(["scan", "ttyUSB0"]) == 130
