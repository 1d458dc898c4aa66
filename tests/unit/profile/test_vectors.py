"""gateway.profile.vectors: recorded frames prove a profile, in both directions."""

from pathlib import Path

import pytest

from gateway import sources, toml_file
from gateway.errors import Invalid, Problem
from gateway.profile import vectors
from gateway.profile.build import build, build_variants
from gateway.profile.schema import ProfileSchema
from tests.support.written import PROFILE, VECTORS, codes, found, line_of, write_profile

SHIPPED = sorted(path for path in sources.shipped().rglob("*.toml") if not path.name.endswith(".vectors.toml"))
STREAM = sources.shipped() / "gill" / "windsonic.toml"


def checked(path: Path) -> list[Problem]:
    """What the vectors beside this profile find."""
    read = toml_file.read_located(path, ProfileSchema)
    profile, problems = build(read.value, read.places)
    variants, more = build_variants(read.value, read.places, problems)
    assert [*problems, *more] == []
    return list(vectors.check(profile, vectors.read(vectors.path_of(path)), variants))


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.parent.name != "gateway"], ids=lambda path: path.stem
)
def test_every_shipped_profile_reads_its_frames(path: Path) -> None:
    """Values and reasons for none come out exactly, go back into the same frames, and every field is in one."""
    assert checked(path) == []


def test_profiles_are_shipped() -> None:
    """The test above is about something."""
    assert len(SHIPPED) >= 6


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("address = 1", "address = 0"),
        ('"i16"', '"u16"'),
        ("scale = 0.1", "scale = 0.01"),
        ("scale = 0.1", "scale = 0.1, offset = 1"),
        ("scale = 0.1", 'scale = 0.1, sentinels = ["0xFF33"]'),
    ],
)
def test_a_slip_in_a_profile_shows(tmp_path: Path, old: str, new: str) -> None:
    """Each slip of an author that still compiles is found by a frame."""
    assert old in PROFILE
    cold = VECTORS.replace("01 04 02 01 31 79 74", "01 04 02 FF 33 B8 D5").replace("30.5", "-20.5")
    path = write_profile(tmp_path, PROFILE.replace(old, new), VECTORS + cold)
    assert set(codes(checked(path))) & {"vector_mismatch", "bad_vector"}


def test_the_way_back_is_checked_too(tmp_path: Path) -> None:
    """Rounding that loses a register is found: 0.254 mm at one decimal is another tip count."""
    text = PROFILE.replace("scale = 0.1", "scale = 0.0254, decimals = 1")
    path = write_profile(tmp_path, text, VECTORS.replace("30.5", "7.7"))
    assert [(p.code, p.detail) for p in checked(path)] == [
        ("bad_vector", "temperature: encoded again it has other registers")
    ]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("31 79 74", "31 79 75", "bad_vector"),
        ("00 01 60 0A", "00 01 60 0B", "bad_vector"),
        ("01 04 02 01 31 79 74", "01 84 02 C2 C1", "bad_vector"),
        ("01 04 00 01 00 01 60 0A", "01 06 00 01 00 01 19 CA", "bad_vector"),
        ("01 04 02 01 31 79 74", "", "bad_vector"),
        ("temperature = 30.5", "temperature = 30.6", "vector_mismatch"),
        ("temperature = 30.5", "temperature = 30.5, humidity = 1.0", "vector_mismatch"),
        ("values = { temperature = 30.5 }", "", "vector_mismatch"),
        ("values = { temperature = 30.5 }", 'quality = { temperature = "no_value" }', "vector_mismatch"),
    ],
)
def test_a_bad_vector_is_named(tmp_path: Path, old: str, new: str, code: str) -> None:
    """A damaged copy, an exception, a write, a wrong value, a field too many or too few."""
    assert old in VECTORS
    problems = checked(write_profile(tmp_path, vectors=VECTORS.replace(old, new)))
    assert code in codes(problems)
    assert problems[0].line == line_of(VECTORS, "[[vector]]")


def test_a_field_that_no_vector_reaches(tmp_path: Path) -> None:
    """Proof is per field."""
    text = f'{PROFILE}humidity = {{ address = 2, type = "u16", unit = "%", scale = 0.1 }}\n'
    problems = checked(write_profile(tmp_path, text))
    assert [(p.code, p.detail) for p in problems] == [("untested_field", "no vector reaches humidity")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('frame = "', 'frame = "FF '),
        ("wind_speed = 2.74", "wind_speed = 2.75"),
        ("31 36 0D 0A", "31 37 0D 0A"),
        ("2C 4D 2C", "2C 4E 2C"),
    ],
)
def test_a_stream_is_checked_from_its_bytes(tmp_path: Path, old: str, new: str) -> None:
    """Framing, checksum, required parts and values all count; noise before the frame is skipped as on a line."""
    text = vectors.path_of(STREAM).read_text()
    assert old in text
    folder = tmp_path / "gill"
    folder.mkdir()
    (folder / "windsonic.toml").write_text(STREAM.read_text())
    (folder / "windsonic.vectors.toml").write_text(text.replace(old, new))
    found_codes = set(codes(checked(folder / "windsonic.toml")))
    assert found_codes == (set() if "FF" in new else found_codes & {"vector_mismatch", "bad_vector"})
    assert ("FF" in new) == (not found_codes)


@pytest.mark.parametrize(
    "vector",
    [
        'request = "01"\nvalues = {}',
        'response = "01"\nvalues = {}',
        'request = "01"\nresponse = "01"\nframe = "01"',
        "values = {}",
    ],
)
def test_an_exchange_or_a_frame(tmp_path: Path, vector: str) -> None:
    """Both halves of an exchange, or one frame."""
    path = tmp_path / "x.vectors.toml"
    path.write_text(f'[[vector]]\nabout = "a"\nevidence = "captured"\nsource = "b"\n{vector}\n')
    with pytest.raises(Invalid) as caught:
        vectors.read(path)
    assert found(caught.value) == [("bad_value", "vector[0]")]


VARIED = """[variants.fine]
title = { en = "Fine probe", vi = "Đầu đo mịn" }
fields = { temperature = { scale = 0.01 } }
"""


def test_a_variant_has_vectors_of_its_own(tmp_path: Path) -> None:
    """Each field in which it differs is in one; the profile's own prove nothing of it."""
    fine = VECTORS.replace("source =", 'variant = "fine"\nsource =').replace("30.5", "3.05")
    assert checked(write_profile(tmp_path, PROFILE + VARIED, f"{VECTORS}{fine}")) == []
    problems = checked(write_profile(tmp_path, PROFILE + VARIED))
    assert [(p.code, p.detail) for p in problems] == [
        ("untested_field", "no vector of variant fine reaches temperature")
    ]
    problems = checked(write_profile(tmp_path, PROFILE + VARIED, VECTORS + fine.replace('"fine"', '"fin"')))
    assert [(p.code, p.path) for p in problems] == [("bad_vector", "vector[1].variant"), ("untested_field", "")]


SHAPES = """flag = { address = 1, type = "u16", bit = 8, unit = "1", quantity = "relay" }
state = { address = 1, type = "u16", bits = [0, 4], unit = "1", quantity = "device_state", labels = { 1 = "on" } }
name = { address = 2, type = "text", length = 2, unit = "1", quantity = "device_state" }
level = { address = 4, type = "u16", unit = "m", decimals = 1, scale_from = "places", quantity = "water_level" }
places = { address = 5, type = "u16", scale = -1, hidden = true }
"""
SHAPED = """[[vector]]
about = "every shape"
evidence = "constructed"
source = "the layout"
request = "01 04 00 01 00 05 61 C9"
response = "01 04 0A 01 01 57 53 58 20 00 7B 00 01 97 F1"
values = { flag = true, state = "on", name = "WSX", level = 12.3, places = -1.0 }
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bit = 8", "bit = 9"),
        ("bits = [0, 4]", "bits = [1, 4]"),
        ('1 = "on"', '2 = "on"'),
        ("length = 2", "length = 1"),
        ("scale = -1", "scale = 1"),
        ("length = 2, unit", 'length = 2, order = "BADC", unit'),
    ],
)
def test_a_slip_in_a_shape_shows(tmp_path: Path, old: str, new: str) -> None:
    """Bits, labels, texts and scale registers are proved as numbers are."""
    text = PROFILE[: PROFILE.index("temperature")] + SHAPES
    assert checked(write_profile(tmp_path, text, SHAPED)) == []
    assert old in text
    assert "vector_mismatch" in codes(checked(write_profile(tmp_path, text.replace(old, new), SHAPED)))


def test_a_scaled_value_is_read_with_its_scale(tmp_path: Path) -> None:
    """An exchange without the power of ten proves nothing of the value."""
    text = PROFILE[: PROFILE.index("temperature")] + SHAPES.replace("address = 5", "address = 6")
    problems = checked(write_profile(tmp_path, text, SHAPED))
    assert problems[0].code == "bad_vector"
    assert "places, must be read in the same exchange" in problems[0].detail


INVERTER = sources.shipped() / "sunspec" / "inverter.toml"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("at = 40070", "at = 40069", "vector_mismatch"),
        ("at = 40070", "at = 40071", "bad_vector"),
        ("01 03 48", "01 03 48", ""),
    ],
    ids=["before", "behind", "as it is"],
)
def test_a_vector_of_a_sunspec_model_is_read_from_its_header(tmp_path: Path, old: str, new: str, code: str) -> None:
    """`at` says where that stood."""
    text = vectors.path_of(INVERTER).read_text().replace(old, new)
    found = codes(checked(write_profile(tmp_path, INVERTER.read_text(), text)))
    assert set(found) == ({code} if code else set())


@pytest.mark.parametrize(
    ("old", "new"), [("models = [101, 102, 103]", "models = [101, 102]"), ("length = 50", "length = 51")]
)
def test_a_header_of_another_model_shows(tmp_path: Path, old: str, new: str) -> None:
    """Its frames are not this profile's."""
    text = INVERTER.read_text()
    assert old in text
    path = write_profile(tmp_path, text.replace(old, new), vectors.path_of(INVERTER).read_text())
    assert "the header in it is not that of the profile's SunSpec model" in [one.detail for one in checked(path)]


STARTED = """
[[vector]]
about = "told to measure"
evidence = "constructed"
source = "test"
request = "01 03 01 F4 00 01 C4 04"
response = "01 03 02 00 00 B8 44"
"""


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        (STARTED, []),
        ("", ["untested_field"]),
        (STARTED.replace("01 F4 00 01 C4 04", "01 F5 00 01 95 C4"), ["untested_field"]),
        (STARTED.replace("02 00 00 B8 44", "04 00 00 00 00 FA 33"), ["bad_vector"]),
    ],
)
def test_what_starts_a_device_is_in_a_vector(tmp_path: Path, shown: str, found: list[str]) -> None:
    """The request as the profile says it, and an answer to it; it means no value."""
    start = 'start = { function = 3, address = 500, pause = "8s" }'
    text = PROFILE.replace('table = "input"', f'table = "input"\n{start}')
    assert codes(checked(write_profile(tmp_path, text, VECTORS + shown))) == found


VARIANT = """
[variants.fine]
title = { en = "Fine", vi = "Mịn" }
serial = { framing = { kind = "line", start = "02", end = "0D", max_bytes = 64 } }
"""


def test_a_variant_with_other_frames_has_vectors_for_all_its_fields(tmp_path: Path) -> None:
    """Those of the profile prove nothing of it."""
    text, frames = STREAM.read_text(), vectors.path_of(STREAM).read_text()
    path = write_profile(tmp_path, text + VARIANT, frames)
    assert codes(checked(path)) == ["untested_field", "untested_field"]


def test_what_a_polled_device_is_set_up_with_is_in_a_vector(tmp_path: Path) -> None:
    """Without it, or with an answer that is none, the profile is not proved."""
    asked = sources.shipped() / "nova" / "sds011-query.toml"
    text, frames = asked.read_text(), vectors.path_of(asked).read_text()
    assert checked(asked) == []
    without = frames[: frames.rindex("[[vector]]")]
    assert codes(checked(write_profile(tmp_path, text, without))) == ["untested_field"]
    wrong = frames.replace("AA C5 02 01 01", "AA C5 03 01 01")
    assert codes(checked(write_profile(tmp_path, text, wrong))) == ["bad_vector"]


def details(problems: list[Problem]) -> str:
    """What they say, joined."""
    return " | ".join(problem.detail for problem in problems)


def test_both_checksums_of_an_exchange_are_told_at_once(tmp_path: Path) -> None:
    """Who computes none writes both frames without: one round of the check, not two."""
    bare = VECTORS.replace(" 60 0A", "").replace(" 79 74", "")
    told = details(checked(write_profile(tmp_path, vectors=bare)))
    assert "have 60 0A added" in told
    assert "have 79 74 added" in told


WIDE = PROFILE.replace('"i16"', '"f32"').replace("scale = 0.1", "decimals = 2, range = [0, 50]")
WIDE_VECTORS = VECTORS.replace("00 01 60 0A", "00 02 20 0B").replace(
    "01 04 02 01 31 79 74", "01 04 04 00 00 41 C4 CA 47"
)


def test_the_order_that_would_be_right_is_named(tmp_path: Path) -> None:
    """A float read in the wrong order is only a strange number: what to write instead is said."""
    text = WIDE_VECTORS.replace("30.5", "24.5")
    assert 'with order = "CDAB" it is right' in details(checked(write_profile(tmp_path, WIDE, text)))
    right = WIDE.replace('"f32"', '"f32", order = "CDAB"')
    assert checked(write_profile(tmp_path, right, text)) == []
    assert "with order" not in details(checked(write_profile(tmp_path, WIDE, WIDE_VECTORS)))


def test_an_address_that_the_exchange_does_not_read_is_named(tmp_path: Path) -> None:
    """A manual's 30002 written as it is printed: both places stand side by side."""
    told = details(checked(write_profile(tmp_path, PROFILE.replace("address = 1", "address = 30002"))))
    assert "it stands at input 0x7532, this reads input 0x0001 to 0x0001" in told


def test_a_range_that_no_value_is_in(tmp_path: Path) -> None:
    """Such a field would be null for ever; one value outside may be a maker's example."""
    narrow = PROFILE.replace("scale = 0.1", "scale = 0.1, range = [0, 20]")
    assert "30.5 is outside its range, 0 to 20" in details(checked(write_profile(tmp_path, narrow)))
    inside = VECTORS.replace("01 31 79 74", "00 64 B8 DB").replace("30.5", "10.0")
    assert checked(write_profile(tmp_path, narrow, VECTORS + inside)) == []


ASKED = (
    PROFILE[: PROFILE.index("[modbus]")]
    + """
[serial]
line = "9600 8N1"
address = "15"
poll = "40 {address} 50 54 0D"
[serial.framing]
kind = "line"
start = "40 {address} 50 54"
end = "0D"
max_bytes = 40
[serial.parse]
kind = "split"
content_from = 5
content_until = -1
separator = "20"
decimal = ","
[fields]
temperature = { part = "0", unit = "Cel", decimals = 1 }
humidity = { part = "1", unit = "%", decimals = 0 }
"""
)
ASKED_VECTORS = """[[vector]]
about = "the example of the Lartet DC-24's manual"
evidence = "printed"
source = "its page 4-2"
request = "40 31 35 50 54 0D"
response = "40 31 35 50 54 32 34 2C 37 20 36 33 0D"
values = { temperature = 24.7, humidity = 63.0 }
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("content_from = 5", "content_from = 4", "its parts are 0 = 'T24.7', 1 = '63'"),
        ('decimal = ","', "", "its parts are 0 = '24,7', 1 = '63'"),
        ('separator = "20"', 'separator = "3B"', "its parts are 0 = '24.7 63'"),
        ('end = "0D"', 'end = "0A"', "it begins 40 31 35 50 and ends 20 36 33 0D, 13 bytes"),
    ],
)
def test_a_frame_that_is_taken_apart_wrongly_shows_its_parts(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Who counts one byte too few sees it, instead of `bad_reply` alone."""
    assert checked(write_profile(tmp_path, ASKED, ASKED_VECTORS)) == []
    assert told in details(checked(write_profile(tmp_path, ASKED.replace(old, new), ASKED_VECTORS)))
