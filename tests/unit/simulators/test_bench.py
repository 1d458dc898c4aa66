"""simulators.bench: one device of the library is a site by itself."""

from pathlib import Path

import pytest

from gateway.config.compile import compile_file, library_of
from gateway.errors import Invalid
from gateway.profile.load import Library
from gateway.profile.profile import LocalSource
from simulators.bench import bench, name_of, to_copy
from tests.support.written import SITE, write

LIBRARY: Library = library_of()


READ = [ref for ref, profile in sorted(LIBRARY.profiles.items()) if not isinstance(profile.source, LocalSource)]


@pytest.mark.parametrize("ref", READ)
def test_every_device_of_the_library_can_stand_alone(ref: str, tmp_path: Path) -> None:
    """On a line; and what is to be copied into a gateway's site file makes the same device there."""
    site = bench(LIBRARY, ref.partition("@")[0], {"port": str(tmp_path / "port")}, None, None)
    copied = compile_file(write(tmp_path / "gateway.toml", SITE + to_copy(site, str(tmp_path / "port")))).site
    assert copied.buses == site.buses
    assert site.buses[0].devices[0].name == name_of(ref)


def test_a_variant_and_a_unit_id_may_be_chosen(tmp_path: Path) -> None:
    """And are copied too."""
    site = bench(LIBRARY, "xy/md02@1", {"host": "127.0.0.1:0"}, "hundredths", 7)
    text = to_copy(site, "127.0.0.1:1502")
    copied = compile_file(write(tmp_path / "gateway.toml", SITE + text)).site
    assert copied.buses[0].devices == site.buses[0].devices
    assert (copied.buses[0].devices[0].unit_id, copied.buses[0].devices[0].variant) == (7, "hundredths")


@pytest.mark.parametrize(
    ("wanted", "variant", "code", "detail"),
    [
        ("xy/md20", None, "unknown_profile", "xy/md20; the nearest is xy/md02@1"),
        ("xy/md02", "thousandths", "unknown_variant", "xy/md02@1 has no variant thousandths"),
        ("gill/windsonic", None, "wrong_bus", "gill-windsonic sends by itself"),
    ],
)
def test_what_cannot_be_is_told(wanted: str, variant: str | None, code: str, detail: str) -> None:
    """No such profile or variant, or a device that is not on such a bus."""
    with pytest.raises(Invalid) as caught:
        bench(LIBRARY, wanted, {"host": "127.0.0.1:0"}, variant, None)
    (problem,) = caught.value.problems
    assert (problem.file, problem.code) == ("--profile", code)
    assert problem.detail.startswith(detail)
