"""docs/specs/wire.md keeps its word: its examples are read by us, and every clause that is cited exists."""

import re
from pathlib import Path

from gateway.model import Quality, Trust
from gateway.wire import batch as batches
from gateway.wire import body, body_reader, catalog, checked, command, documents, receipt, status_reader

ROOT = Path(__file__).parents[3]
SPEC = (ROOT / "docs" / "specs" / "wire.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```\n(.*?)\n```$", SPEC, flags=re.MULTILINE | re.DOTALL)
BATCH, RECEIPT, STATUS, COMMANDS, WRITE, MAINTENANCE, RESEND = EXAMPLES
CLAUSES = re.findall(r"\*\*(W-\d+)\*\*", SPEC)
CITED_IN = ("gateway/wire", "gateway/pipeline", "tests/unit/wire", "tests/unit/pipeline", "tests/property")


def test_clauses_have_one_number_each() -> None:
    """A number names one rule."""
    assert sorted(CLAUSES) == sorted(set(CLAUSES))


def test_every_cited_clause_exists() -> None:
    """What tests and code say they keep is written down."""
    files = [file for folder in CITED_IN for file in (ROOT / folder).rglob("*.py")]
    cited = {clause for file in files for clause in re.findall(r"\bW-\d+\b", file.read_text(encoding="utf-8"))}
    assert cited
    assert cited - set(CLAUSES) == set()


def test_the_batch_of_the_spec_is_one() -> None:
    """Section 3: its crc too."""
    batch = batches.decode(BATCH.encode())
    assert batches.open_body(batch).groups[0].rows[1] == (1000, (230.1, 49.98))


def test_the_receipt_of_the_spec_settles_that_batch() -> None:
    """Section 5: it names the crc of section 3."""
    found = receipt.decode(RECEIPT.encode())
    batch = batches.decode(BATCH.encode())
    assert found.stored == ((batch.id.seq, batch.crc),)


def test_the_status_of_the_spec_is_one() -> None:
    """Section 6: all keys, as we write them."""
    found = status_reader.decode_status(STATUS.replace("\n ", "").encode())
    assert len(status_reader.epochs_of(found)[0].pending) == 5


def test_the_commands_of_the_spec_are_some() -> None:
    """Section 7: one down, one up."""
    asked, answered = COMMANDS.split("\n")
    assert command.decode(asked.encode()).id == command.decode_outcome(answered.encode()).id


def test_the_write_of_the_spec_is_one() -> None:
    """Section 7: what was asked for is what was read back."""
    asked, answered = WRITE.split("\n")
    arguments = command.write_arguments(command.decode(asked.encode()).arguments)
    assert arguments == command.WriteArguments("level-1", "zero_offset", 0.25)
    assert command.decode_outcome(answered.encode()).value == arguments.value


def test_the_maintenance_of_the_spec_is_one() -> None:
    """W-98: what a gateway takes, and what it says."""
    asked, answered = (line.encode() for line in MAINTENANCE.split("\n"))
    found = command.decode(asked)
    assert (found.name, sorted(found.arguments)) == ("maintenance", ["device", "for_ms", "why"])
    assert command.decode_outcome(answered).ok


def test_the_resend_of_the_spec_is_one() -> None:
    """Section 7: what is not kept was asked for, and the numbers add up."""
    asked, answered = RESEND.split("\n")
    arguments = command.resend_arguments(command.decode(asked.encode()).arguments)
    resent = command.decode_outcome(answered.encode()).resent
    assert resent is not None
    assert resent.not_kept.intersection(arguments.seqs) == resent.not_kept
    assert (len(resent.not_kept), resent.kept + resent.not_kept_n) == (resent.not_kept_n, len(arguments.seqs))


def test_every_word_of_ours_is_in_the_spec() -> None:
    """W-21, W-41: clock words and quality codes."""
    assert [word for word in (*Trust, *Quality) if f"`{word}`" not in SPEC] == []


def test_the_limits_are_those_of_the_code() -> None:
    """W-1 and its like: a number here is the number there."""
    numbers = {
        checked.MESSAGE_BYTES_MAX,
        catalog.MAX_CATALOG_BYTES,
        command.MAX_BYTES,
        command.RESEND_RANGES_MAX,
        command.NOT_KEPT_MAX,
        batches.MAX_HEADER_BYTES,
        checked.UTC_MS_MAX,
        body_reader.MAX_ROWS,
        body_reader.MAX_INFLATED_BYTES,
        body_reader.MAX_FIELDS,
        body_reader.MAX_GROUPS,
        body_reader.MAX_EVENTS,
        body_reader.MAX_ROW_OFFSET_MS,
        body_reader.MAX_VALUE_BYTES,
        body_reader.MAX_GAPS,
        receipt.MAX_ENTRIES,
        receipt.MAX_NAMED_ROWS,
        documents.MAX_EPOCHS,
        documents.MAX_NAMES,
        documents.MAX_RANGES,
        catalog.MAX_DEVICES,
    }
    assert [number for number in numbers if not re.search(rf"(?<![\d,]){number:,}(?![\d,]\d)", SPEC)] == []
    assert body.MAX_BODY_BYTES + batches.MAX_HEADER_BYTES <= checked.MESSAGE_BYTES_MAX
