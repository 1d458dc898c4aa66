"""gateway.profile.expression: the source of a value. What it computes is in test_codec; here, what it is made of."""

import re
from dataclasses import replace
from typing import Any

import pytest

from gateway.profile.expression import helper, source
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table

REGISTER = Field("x; import os", "x", "1", "f", 1, table=Table.INPUT, address=0, type="u16", tens=1)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "r0/10"),
        ({"tens": 0}, "r0*1.0"),
        ({"tens": -1, "raw_offset": -400.0}, "(r0+-400)*10*1.0"),
        ({"scale": 0.25, "tens": 0}, "round(r0*0.25,1)"),
        ({"sentinels": (0xFFFF,)}, "r0/10 if r0!=65535 else None"),
        ({"not_fitted": True}, "r0/10 if r0!=0 else None"),
        ({"type": "f32", "tens": 0}, "round(r0*10)/10 if -1e+290<r0<1e+290 else None"),
        ({"bits": (3, 1), "letter": "b"}, "(r0>>3&1)!=0"),
        ({"bits": (3, 1), "letter": "b", "sentinels": (0xFFFF,)}, "(r0>>3&1)!=0 if r0!=65535 else None"),
        ({"bits": (4, 3), "tens": 0}, "(r0>>4&7)*1.0"),
        ({"bits": (8, 8), "type": "i8", "tens": 0}, "(((r0>>8&255)^128)-128)*1.0"),
        ({"type": "bcd16"}, "n/10 if (n:=h0(r0)) is not None else None"),
        ({"labels": ((0, "__import__"),)}, "h0(r0)"),
        ({"type": "text", "length": 2}, "h0(r0)"),
    ],
)
def test_source(more: dict[str, Any], expected: str) -> None:
    """No more work than the shape needs, and never a word of the profile."""
    text = source(replace(REGISTER, **more), "r0", "h0")
    assert text == expected
    assert set(re.findall(r"[A-Za-z_]+", re.sub(r"[0-9.]+e[+-]?[0-9]+", "", text))) <= {
        "r", "h", "n", "None", "if", "else", "is", "not", "and", "round",
    }  # fmt: skip


def test_helpers() -> None:
    """Only what needs one has one."""
    labels = helper(replace(REGISTER, labels=((7, "on"),)))
    text = helper(replace(REGISTER, type="text", length=1, encoding="latin-1"))
    assert labels is not None
    assert text is not None
    assert (labels(7), labels(8), text(b"\xe9\0")) == ("on", None, "\u00e9")
    assert helper(REGISTER) is None
