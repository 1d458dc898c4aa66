"""gateway check: all problems of a site file and its profiles at once, each with its place and the next step."""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from gateway.config.compile import Compiled, compile_file
from gateway.config.gateway import GatewayConfig
from gateway.errors import Invalid, Problem
from gateway.text import words

WRONG_FILE = 2
SUMMARY = {
    "en": ("problems: {}", "fine. buses: {}, devices: {}, fields: {}", "note"),
    "vi": ("số lỗi: {}", "tốt. bus: {}, thiết bị: {}, trường: {}", "lưu ý"),
}


def check(path: Path, profile_folders: Sequence[Path], lang: str, out: TextIO) -> int:
    """The exit status: 0 = this file can be run, 2 = it cannot."""
    problems_text, _, _ = SUMMARY[_known(lang)]
    try:
        compiled = compile_file(path, profile_folders)
    except Invalid as invalid:
        out.writelines(paragraph(problem, lang) for problem in invalid.problems)
        out.write(f"{problems_text.format(len(invalid.problems))}\n")
        return WRONG_FILE
    _show(compiled, lang, out)
    return 0


def _show(compiled: Compiled[GatewayConfig], lang: str, out: TextIO) -> None:
    _, fine_text, note_text = SUMMARY[_known(lang)]
    out.writelines(f"{note_text}: {paragraph(note, lang)}" for note in compiled.notes)
    devices = [device for bus in compiled.site.buses for device in bus.devices]
    fields = sum(len(polled.group.fields) for device in devices for polled in device.polled)
    out.write(f"{fine_text.format(len(compiled.site.buses), len(devices), fields)}\n")


def paragraph(problem: Problem, lang: str) -> str:
    """Where, what, and what to do."""
    place = " ".join(part for part in (f"{problem.file}:{problem.line}:", problem.path) if part)
    step = words.next_step(problem, lang)
    detail = f": {problem.detail}" if problem.detail else ""
    return f"{place}\n    {words.title(problem.code, lang)}{detail}\n" + (f"    -> {step}\n" if step else "")


def _known(lang: str) -> str:
    return lang if lang in SUMMARY else "en"
