"""gateway.profile.load: folders in order, overrides seen, all problems of all files."""

from pathlib import Path

import pytest

from gateway import sources
from gateway.errors import Invalid
from gateway.profile import load
from tests.support.written import PROFILE, VECTORS, codes, found, write, write_profile


def problems(*folders: Path) -> list[tuple[str, str]]:
    """(code, path) of what loading these finds."""
    with pytest.raises(Invalid) as caught:
        load.load(folders)
    return found(caught.value)


def test_the_shipped_library_loads() -> None:
    """Six models, each with both titles, none overridden."""
    library = load.load([sources.shipped()])
    assert {
        "eastron/sdm630@1", "xy/md02@1", "ecowitt/wn90lp@1", "plantower/pms5003@1", "gill/windsonic@1",
        "waveshare/relay8@1",
    } <= set(library.profiles)  # fmt: skip
    assert library.notes == ()
    assert all([lang for lang, _ in profile.title] == ["en", "vi"] for profile in library.profiles.values())
    assert library.files["xy/md02@1"] == sources.shipped() / "xy" / "md02.toml"


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """/etc/gateway/profiles need not exist."""
    assert load.load([tmp_path / "none"]).profiles == {}


def test_a_folder_that_a_person_names_must_be_there(tmp_path: Path) -> None:
    """A slip in a path is not an empty library; all of them are told."""
    load.check_folders([tmp_path])
    with pytest.raises(Invalid) as caught:
        load.check_folders([tmp_path / "a", tmp_path, tmp_path / "b"])
    assert [(problem.file, problem.code) for problem in caught.value.problems] == [
        (str(tmp_path / "a"), "file_unreadable"),
        (str(tmp_path / "b"), "file_unreadable"),
    ]


def test_a_later_folder_overrides_visibly(tmp_path: Path) -> None:
    """The later file wins, and a note names both."""
    first = write_profile(tmp_path / "a")
    second = write_profile(tmp_path / "b", PROFILE.replace('en = "Probe"', 'en = "My probe"'))
    library = load.load([tmp_path / "a", tmp_path / "b"])
    assert library.profiles["acme/probe@1"].title[0] == ("en", "My probe")
    assert library.files["acme/probe@1"] == second
    (note,) = library.notes
    assert (note.code, note.file) == ("profile_overridden", str(second))
    assert str(first) in note.detail
    assert library.replaced == {"acme/probe@1": first}


def test_a_newer_version_does_not_override(tmp_path: Path) -> None:
    """Sites pin versions: both stay."""
    write_profile(tmp_path / "a")
    write_profile(tmp_path / "b", PROFILE.replace("version = 1", "version = 2"))
    library = load.load([tmp_path / "a", tmp_path / "b"])
    assert set(library.profiles) == {"acme/probe@1", "acme/probe@2"}
    assert library.notes == ()


OLD = PROFILE.replace(
    "[modbus]", 'deprecated = { by = "acme/probe@2", why = { en = "Scale", vi = "Hệ số" } }\n[modbus]', 1
)


def write_both(folder: Path, old: str) -> None:
    """acme/probe@1 beside acme/probe@2."""
    write(folder / "acme" / "probe@1.toml", old)
    write(folder / "acme" / "probe@1.vectors.toml", VECTORS)
    write_profile(folder, PROFILE.replace("version = 1", "version = 2"))


def test_a_deprecated_version_stays_and_is_not_for_new_sites(tmp_path: Path) -> None:
    """Deprecate by copy: both ship, the old one names the other and why; a scan offers the other alone."""
    write_both(tmp_path, OLD)
    library = load.load([tmp_path])
    assert set(library.profiles) == {"acme/probe@1", "acme/probe@2"}
    assert [profile.ref for profile in library.current] == ["acme/probe@2"]
    old = library.deprecated["acme/probe@1"]
    assert (old.by, old.why) == ("acme/probe@2", (("en", "Scale"), ("vi", "Hệ số")))


@pytest.mark.parametrize("by", ["acme/probe@3", "acme/probe@1"])
def test_what_takes_its_place_must_be_there(tmp_path: Path, by: str) -> None:
    """A profile of the library that is not deprecated itself."""
    write_both(tmp_path, OLD.replace("acme/probe@2", by))
    assert problems(tmp_path) == [("unknown_profile", "profile.deprecated.by")]


def test_the_newest_is_the_highest_number(tmp_path: Path) -> None:
    """Version 10 comes after 9: they are numbers, not text."""
    for version in (9, 10):
        text = PROFILE.replace("version = 1", f"version = {version}")
        write(tmp_path / "acme" / f"probe@{version}.toml", text)
        write(tmp_path / "acme" / f"probe@{version}.vectors.toml", VECTORS)
    library = load.load([tmp_path])
    assert library.newest("acme/probe") == "acme/probe@10"
    assert library.newest("acme/probe@9") == "acme/probe@9"
    assert library.newest("acme/prob") is library.newest("acme/probe@1") is None


def test_all_problems_of_all_files(tmp_path: Path) -> None:
    """One bad file hides no other."""
    write_profile(tmp_path, vectors=None)
    write(tmp_path / "acme" / "broken.toml", "[profile\n")
    write(tmp_path / "acme" / "other.toml", PROFILE.replace("acme/probe", "acme/other").replace('"Cel"', '"K"'))
    assert sorted(problems(tmp_path)) == [
        ("no_vectors", "profile.id"),
        ("toml_syntax", ""),
        ("wrong_unit", "fields.temperature.unit"),
    ]


def test_one_ref_twice_in_one_folder(tmp_path: Path) -> None:
    """Which of them would win is nobody's guess."""
    write_profile(tmp_path)
    write(tmp_path / "acme" / "probe@1.toml", PROFILE)
    write(tmp_path / "acme" / "probe@1.vectors.toml", VECTORS)
    assert problems(tmp_path) == [("doubled_profile", "profile.id")]


def test_a_file_stands_where_its_id_says(tmp_path: Path) -> None:
    """VENDOR/MODEL.toml."""
    write(tmp_path / "acme" / "sensor.toml", PROFILE)
    write(tmp_path / "acme" / "sensor.vectors.toml", VECTORS)
    assert problems(tmp_path) == [("wrong_place", "profile.id")]


def test_a_field_means_one_thing_in_its_kind(tmp_path: Path) -> None:
    """The store has one column for it."""
    write_profile(tmp_path)
    other = PROFILE.replace("acme/probe", "acme/other").replace('"Cel", scale', '"%", quantity = "humidity", scale')
    write(tmp_path / "acme" / "other.toml", other)
    write(tmp_path / "acme" / "other.vectors.toml", VECTORS)
    assert problems(tmp_path) == [("kind_conflict", "fields.temperature")]


def test_a_vector_that_fails_is_a_problem(tmp_path: Path) -> None:
    """A profile that reads its own frames wrongly never runs."""
    write_profile(tmp_path, vectors=VECTORS.replace("30.5", "31.5"))
    with pytest.raises(Invalid) as caught:
        load.load([tmp_path])
    assert codes(caught.value.problems) == ["vector_mismatch"]
    assert caught.value.problems[0].file.endswith("probe.vectors.toml")


def test_broken_vectors_are_problems_of_their_file(tmp_path: Path) -> None:
    """Not TOML, or no vector in it."""
    write_profile(tmp_path, vectors="vector = []\n")
    assert problems(tmp_path) == [("out_of_bounds", "vector")]


VARIED = """[variants.fine]
title = { en = "Fine probe", vi = "Đầu đo mịn" }
fields = { temperature = { scale = 0.01 } }
"""
FINE = VECTORS.replace("source =", 'variant = "fine"\nsource =').replace("30.5", "3.05")


def test_variants_stand_beside_the_profiles(tmp_path: Path) -> None:
    """By ref and name; a later file replaces the profile with its variants."""
    write_profile(tmp_path / "a", PROFILE + VARIED, VECTORS + FINE)
    library = load.load([tmp_path / "a"])
    assert library.variants["acme/probe@1"]["fine"].fields[0].tens == 2
    assert library.profiles["acme/probe@1"].fields[0].tens == 1
    write_profile(tmp_path / "b")
    assert load.load([tmp_path / "a", tmp_path / "b"]).variants == {}


def test_a_variant_is_checked(tmp_path: Path) -> None:
    """Its vectors as the profile's own."""
    write_profile(tmp_path, PROFILE + VARIED, VECTORS + FINE.replace("3.05", "3.06"))
    assert problems(tmp_path) == [("vector_mismatch", "vector[1]")]


def test_the_fields_of_a_variant_mean_one_thing_in_its_kind(tmp_path: Path) -> None:
    """They go into the same columns of the store."""
    humid = VARIED.replace("scale = 0.01", 'unit = "%", quantity = "humidity"')
    write_profile(tmp_path, PROFILE + humid, VECTORS + FINE.replace("3.05", "30.5"))
    assert problems(tmp_path) == [("kind_conflict", "fields.temperature")]
