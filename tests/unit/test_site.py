"""gateway.site: the compiled site as JSON, and what a reload has to restart."""

from dataclasses import replace

import orjson
import pytest

from gateway import site as sites
from gateway import sources
from gateway.model import Group
from gateway.profile.load import load
from gateway.profile.profile import Field, Line, ModbusSource, Profile, Setup, Writable
from gateway.seams import Broker, Tls
from gateway.site import (
    Area,
    Bus,
    Correction,
    Derived,
    Device,
    Location,
    Polled,
    Report,
    Site,
    SpoolSettings,
    UplinkSettings,
)

LIBRARY = load([sources.shipped()])
PROFILES = LIBRARY.profiles


def device(profile: Profile, name: str = "d-1") -> Device:
    """All fields of a profile, every second."""
    names, letters = tuple(f.name for f in profile.fields), "".join(f.letter for f in profile.fields)
    group = Group(name, profile.kind, profile.ref, names, letters)
    return Device(name, profile, 1, (Polled(group, profile.fields, 1000),))


def bus(name: str, *devices: Device) -> Bus:
    """A serial bus."""
    return Bus(name, "rtu", "own", f"/dev/{name}", Line(), devices)


def site(*buses: Bus) -> Site:
    """A site with a value in every corner."""
    return Site(
        gateway="hc-0001",
        root="city",
        area=Area("gso-2025", "20242", "Hải Châu"),
        location=Location(16.0678, 108.0, (("vi", "Trụ 17"),)),
        clock_trust="kernel",
        spool=SpoolSettings("/var/lib/gateway/spool", 4_000_000_000, 60),
        uplinks=(
            UplinkSettings(
                "ioc", (Broker("a", 8883, "hc-0001", Tls("/ca"), "u"), Broker("b", 1883, "hc-0001")), "mobile",
                10_000, 300_000, password_files=("/run/secret", ""),
            ),
        ),
        buses=buses,
        sources=(("", "v"), ("/etc/gateway/gateway.toml", "abc")),
    )  # fmt: skip


SHAPES = replace(
    PROFILES["xy/md02@1"],
    fields=(
        Field("a", "a", "1", "s", 0, type="u16", bits=(4, 2), labels=((0, "off"), (1, "on")), write=Writable()),
        Field("b", "b", "1", "s", 0, type="text", length=4, encoding="latin-1", parameter=True),
        Field("c", "c", "1", "f", 1, type="i16", scale_from="d", write=Writable(-1.5, 1.5, (0.5,)), not_fitted=True),
        Field("d", "", "1", "f", 0, type="u8", bits=(8, 8), hidden=True, counter=True, restarts=True),
    ),
    source=ModbusSource(
        Line(), 1, wake=b"\0", wake_ms=5, setup=Setup(1, 2, ((0, 9600),), 3, ((0, "N"), (3, "N2")), "f32", "CDAB")
    ),
)
EVERYTHING = site(
    *(bus(f"b-{n}", device(profile, f"d-{n}")) for n, profile in enumerate(PROFILES.values())),
    bus("twice", device(PROFILES["xy/md02@1"]), device(PROFILES["xy/md02@1"], "d-9")),
    bus("varied", replace(device(LIBRARY.variants["xy/md02@1"]["hundredths"], "d-10"), variant="hundredths")),
    bus("shapes", device(SHAPES, "d-11")),
)


@pytest.mark.parametrize(
    "one", [EVERYTHING, site(), replace(site(), area=None, location=None), replace(EVERYTHING, uplinks=(), sources=())]
)
def test_a_site_survives_json(one: Site) -> None:
    """Every shipped profile, streams and registers, bytes, enums and empty places."""
    assert sites.loads(sites.dumps(one)) == one


def test_devices_of_one_model_share_their_fields() -> None:
    """On the wire and in memory: fifty meters are one profile."""
    meter = PROFILES["eastron/sdm630@1"]
    many = site(bus("b", *(device(meter, f"d-{n}") for n in range(50))))
    data = sites.dumps(many)
    assert data.count(b'"voltage_l1","voltage_l1","V"') == 1
    (read,) = sites.loads(data).buses
    assert all(d.profile is read.devices[0].profile for d in read.devices)
    assert read.devices[9].polled[0].fields[0] is read.devices[0].profile.fields[0]


def test_a_profile_of_one_name_but_another_content_stays_another() -> None:
    """Pools go by value, not by name."""
    md02 = PROFILES["xy/md02@1"]
    other = replace(md02, kind="other", fields=md02.fields[:1])
    two = site(bus("a", device(md02)), bus("b", device(other)))
    assert sites.loads(sites.dumps(two)) == two


def test_no_password_is_written() -> None:
    """The compiled site is kept on disk: a password in it is a mistake of the caller."""
    uplink = replace(EVERYTHING.uplinks[0], servers=(Broker("a", 1883, "x", password="secret"),), password_files=("",))
    with pytest.raises(ValueError, match="password"):
        sites.dumps(replace(EVERYTHING, uplinks=(uplink,)))


def test_passwords_are_read_at_connect() -> None:
    """Each server gets the content of its own file; one without a file is left as it is."""
    brokers = EVERYTHING.uplinks[0].brokers({"/run/secret": "s3"}.__getitem__)
    assert [broker.password for broker in brokers] == ["s3", ""]
    assert [broker.host for broker in brokers] == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"v":1}',
        b'{"v":2,"pools":{},"site":[]}',
        b'{"v":1,"pools":{"Field":[],"Profile":[]},"site":[]}',
        b'{"v":1,"pools":{"Field":5,"Profile":[]},"site":[]}',
        b'{"v":1,"pools":{"Field":[[]],"Profile":[]},"site":[]}',
    ],
)
def test_what_is_no_site(data: bytes) -> None:
    """Torn, empty, of another version: ValueError and nothing else."""
    with pytest.raises(ValueError):  # noqa: PT011 - whatever orjson or we say
        sites.loads(data)


def test_every_damaged_value_is_refused_or_another_site() -> None:
    """Turn each value of a written site into another type, one at a time: never a foreign exception."""
    document = orjson.loads(sites.dumps(site(bus("b", device(PROFILES["gill/windsonic@1"])))))
    places = list(_leaves(document))
    assert len(places) > 100
    for holder, key in places:
        kept = holder[key]
        for wrong in WRONG:
            if type(wrong) is type(kept) or (isinstance(kept, float) and isinstance(wrong, int | float)):
                continue
            holder[key] = wrong
            try:
                sites.loads(orjson.dumps(document))
            except ValueError:
                continue
            except Exception as error:  # noqa: BLE001 - the point of the test
                pytest.fail(f"{kept!r} -> {wrong!r}: {error!r}")
        holder[key] = kept


WRONG: tuple[object, ...] = ({}, [1, 2, 3, 4], "x", -1, 2.5, True)


def _leaves(value: object) -> list[tuple[list[object], int]]:
    """Each place in nested lists that holds no list."""
    if isinstance(value, dict):
        return [place for item in value.values() for place in _leaves(item)]
    if not isinstance(value, list):
        return []
    own: list[tuple[list[object], int]] = [(value, n) for n, item in enumerate(value) if not isinstance(item, list)]
    return own + [place for item in value for place in _leaves(item)]


def test_what_becomes_of_values_survives() -> None:
    """Report policies, corrections and formulas are what they were."""
    plain = device(PROFILES["xy/md02@1"])
    full = replace(
        plain,
        polled=(replace(plain.polled[0], report=Report(60_000, 0.02, 600_000)),),
        corrections=(Correction("temperature", 1.02, -0.5, 1.25, "LVH", "2026-11-24", "2027-11-24", keep_raw=True),),
        derived=(Derived(Field("dew_point", "dew_point", "Cel", "f", 1), "temperature - 1", "temperature"),),
    )
    assert sites.loads(sites.dumps(site(bus("b", full)))) == site(bus("b", full))
