"""One reply of 100 registers into 60 fields of every kind: u16 i16 u32 i32 f32 u64, eight with swapped words."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median
from timeit import repeat

from gateway.profile.codec import Block
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table
from tests.bench.table import Budget, Row, middle

BUDGET = Budget("decode 100 registers into 60 fields", "<= 10 us")
BUDGETS = (BUDGET,)
DECODE_US = 10.0
REGISTERS = 100
# 60 fields: (type, word order, 10**-tens, offset), how many of them
KINDS = (
    (("u16", "ABCD", 1, 0.0), 12),
    (("i16", "ABCD", 1, -400.0), 12),
    (("u16", "ABCD", 0, 0.0), 4),
    (("u32", "ABCD", 2, 0.0), 12),
    (("u32", "CDAB", 2, 0.0), 4),
    (("i32", "CDAB", 3, 0.0), 4),
    (("i32", "ABCD", 0, 0.0), 2),
    (("f32", "ABCD", 0, 0.0), 6),
    (("u64", "ABCD", 3, 0.0), 4),
)
ROUNDS, CALLS = 15, 2000


def measure(_: Path) -> Iterator[Row]:
    """The median of many rounds, in one warm process."""
    fields = list(_fields())
    assert (len(fields), sum(field.words for field in fields)) == (60, REGISTERS)
    block = Block(fields, Table.HOLDING, 0, REGISTERS)
    random = Random(7)
    data = block.encode([float(round(random.uniform(1, 3000))) for _ in fields])
    assert not block.decode(data).quality
    taken_us = [1e6 * taken / CALLS for taken in repeat(lambda: block.decode(data), number=CALLS, repeat=ROUNDS)]
    yield BUDGET.row(f"{middle(taken_us)} us", within=median(taken_us) <= DECODE_US)


def _fields() -> Iterator[Field]:
    address = 0
    for (type_, order, tens, offset), count in KINDS:
        for _ in range(count):
            field = Field(
                f"f{address}",
                "number",
                "1",
                "f",
                3,
                table=Table.HOLDING,
                address=address,
                type=type_,
                order=order,
                tens=tens,
                raw_offset=offset,
            )
            address += field.words
            yield field
