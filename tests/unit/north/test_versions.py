"""gateway.north.versions: when refused batches are worth another try."""

from itertools import cycle, islice

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.north.versions import RUN, SEEN_MAX, Seen, Versions

OLD = Seen(("1.0",), ("2.0",))


def upgrades(versions: Versions, heard: list[str]) -> list[str]:
    """At which versions of the centre batches came back."""
    back: list[str] = []
    for theirs in heard:
        versions.heard(theirs)
        fresh = versions.fresh
        back += fresh.theirs
        versions.note(fresh)
    return back


def test_a_start_of_a_new_version_counts_once() -> None:
    """W-77: ours, and never again, also not after going back and forth."""
    assert Versions("1.1", OLD).fresh == Seen(("1.1",))
    assert Versions("1.0", OLD).fresh == Seen()
    versions = Versions("1.1", OLD)
    versions.note(versions.fresh)
    for ours in ("1.0", "1.1", "1.0"):
        assert Versions(ours, versions.seen).fresh == Seen()


def test_the_first_version_of_a_centre_is_no_upgrade() -> None:
    """W-77: there was none before it, however often it is heard; one that tells none is a version too."""
    assert upgrades(Versions("1.0", Seen(("1.0",))), ["2.0"] * 3 * RUN) == []
    assert upgrades(Versions("1.0", Seen(("1.0",))), [""] + ["2.0"] * RUN) == ["2.0"]


def test_a_new_version_counts_when_it_is_alone() -> None:
    """W-77: while old workers run beside it they would refuse again; then it counts, once."""
    rolling = list(islice(cycle(["2.0", "2.1"]), 500))
    assert upgrades(Versions("1.0", OLD), rolling) == []
    assert upgrades(Versions("1.0", OLD), [*rolling, *["2.1"] * RUN, *rolling, *["2.0"] * RUN, *rolling]) == ["2.1"]
    assert upgrades(Versions("1.0", OLD), ["2.1"] * (RUN - 1)) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["2.0", "2.1", "2.2", ""]), st.integers(1, 2 * RUN)), max_size=40))
def test_each_version_counts_once_at_most(runs: list[tuple[str, int]]) -> None:
    """W-77: whatever takes turns with whatever, nothing is brought back twice for one version."""
    back = upgrades(Versions("1.0", OLD), [version for version, count in runs for _ in range(count)])
    assert len(back) == len(set(back))
    assert "2.0" not in back


def test_what_is_remembered_is_bounded() -> None:
    """P6: the latest are kept."""
    versions = Versions("1.0", OLD)
    upgrades(versions, [f"3.{n}" for n in range(100) for _ in range(RUN)])
    assert len(versions.seen.theirs) == SEEN_MAX
    assert versions.seen.theirs[-1] == "3.99"
