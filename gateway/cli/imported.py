"""What an import says of each file."""

from collections.abc import Iterator, Mapping

from gateway.app.imports import Imported
from gateway.text import words

NOT_WHOLE = 1
TEXTS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "new": "new", "known": "known", "refused": "refused", "withheld": "not stored, import again",
        "rejected": "rows the database refuses: dead letters", "line": "line", "more": "more",
        "twice": "ALARM one number with two contents",
    },
    "vi": {
        "new": "mới", "known": "đã có", "refused": "bị từ chối", "withheld": "chưa lưu, hãy nhập lại",
        "rejected": "dòng cơ sở dữ liệu không nhận: thư chết", "line": "dòng", "more": "dòng nữa",
        "twice": "CẢNH BÁO một số thứ tự có hai nội dung",
    },
}  # fmt: skip


def lines(found: Imported, lang: str) -> Iterator[str]:
    """The sum first, then what needs somebody."""
    text = TEXTS.get(lang, TEXTS["en"])
    counts = f"{text['new']} {found.new}, {text['known']} {found.known}, {text['refused']} {found.refused}"
    yield f"{found.path.name}: {counts}"
    for number, why in found.refusals:
        yield f"  {text['line']} {number}: {why}"
    if found.refused > len(found.refusals):
        yield f"  … {found.refused - len(found.refusals)} {text['more']}"
    if found.refused:
        yield f"  {words.next_step('import_damaged', lang)}"
    if found.withheld:
        yield f"  {text['withheld']}: {found.withheld}"
    if found.rejected_rows:
        yield f"  {text['rejected']}: {found.rejected_rows}"
    if found.used_twice:
        yield f"  {text['twice']}: {found.used_twice}"
        yield f"  {words.next_step('seq_used_twice', lang)}"
