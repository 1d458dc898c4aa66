"""What a site file says of the values of a device: alarms, a faster poll, reports, corrections, what is computed."""

import re
from datetime import date
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gateway.profile.formula import BadFormula, parse
from gateway.profile.literals import RisingRange
from gateway.profile.types import Duration, Id, Text, refused
from gateway.toml_file import Strict

CONDITION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9_-]{0,63})( *(?P<sign>[<>]) *(?P<number>-?[0-9]{1,9}(\.[0-9]{1,9})?))?"
)
ALARMS_MAX = 16  # levels of one field


def condition(text: str) -> tuple[str, int, float]:
    """FIELD > NUMBER or FIELD < NUMBER as (field, 1 or -1, number); the level of an alarm as (level, 0, 0.0)."""
    found = CONDITION.fullmatch(text)
    if found is None:
        raise refused("bad_condition", f"{text!r}: FIELD > NUMBER, FIELD < NUMBER, or the level of an alarm")
    name, sign, number = found["name"], found["sign"], found["number"]
    return (name, 1 if sign == ">" else -1, float(number)) if sign else (name, 0, 0.0)


def _checked_condition(text: str) -> str:
    condition(text)
    return text


def _formula(text: str) -> str:
    try:
        parse(text)
    except BadFormula as error:
        raise refused("bad_formula", str(error)) from None
    return text


FormulaText: TypeAlias = Annotated[str, AfterValidator(_formula)]
ShortText: TypeAlias = Annotated[str, Field(min_length=1, max_length=64)]


class RateConfig(Strict):
    """rate = { per = "10m", at = 0.3 } of an alarm: by how much a value changes in so long."""

    per: Duration
    at: Annotated[float, Field(gt=0)]
    clear: Annotated[float, Field(gt=0)] | None = None


class AlarmConfig(Strict):
    """One named level: a limit (`at`), a rate of change (`rate`), or a value that does not move (`stuck`)."""

    level: Id
    at: float | None = None
    clear: float | None = None
    below: bool = False
    for_: Annotated[Duration | None, Field(alias="for")] = None
    rate: RateConfig | None = None
    stuck: Duration | None = None
    within: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> "AlarmConfig":
        if [self.at, self.rate, self.stuck].count(None) != 2:  # noqa: PLR2004 - all but one
            raise refused("bad_value", "one of at, rate and stuck")
        if self.clear is not None and self.at is None:
            raise refused("bad_value", "clear is of at; that of a rate stands in it")
        if self.stuck is None and self.within is not None:
            raise refused("bad_value", "within is of stuck")
        if self.stuck and (self.for_ or self.below):
            raise refused("bad_value", "stuck says how long itself, and has no side")
        if self.at is not None and self.clear is not None and (self.clear - self.at) * (1 if self.below else -1) < 0:
            raise refused("bad_value", "clear lies below at, or with below = true above it")
        if self.rate and self.rate.clear is not None and self.rate.clear > self.rate.at:
            raise refused("bad_value", "clear lies below at")
        return self


class FastConfig(Strict):
    """fast = { when = "level > 0.8", every = "1s" } of a device."""

    when: Annotated[str, AfterValidator(_checked_condition)]
    every: Duration
    hold: Duration = "10m"


class ReportConfig(Strict):
    """report: which rows are passed on."""

    every: Duration | None = None
    change: Annotated[float, Field(gt=0)] | None = None
    at_least: Duration | None = None

    @model_validator(mode="after")
    def _fit(self) -> "ReportConfig":
        if (self.change is None) != (self.at_least is None):
            raise refused("bad_value", "change and at_least go together: a dead device must not look steady")
        if self.every is None and self.change is None:
            raise refused("bad_value", "every, or change and at_least")
        return self


class CorrectConfig(Strict):
    """correct: value = raw * slope + offset + datum."""

    slope: float = 1.0
    offset: float = 0.0
    datum: float = 0.0
    by: ShortText | None = None
    on: date | None = None
    due: date | None = None
    keep_raw: bool = False

    @model_validator(mode="after")
    def _fit(self) -> "CorrectConfig":
        if self.slope == 0:
            raise refused("bad_value", "slope = 0 would make every value the same")
        if self.on and self.due and self.due <= self.on:
            raise refused("bad_value", "due is after on")
        return self


class DerivedConfig(Strict):
    """[device.derived.NAME]: a field that is computed."""

    formula: FormulaText
    quantity: Text | None = None
    unit: Text
    decimals: Annotated[int, Field(ge=0, le=12)]
    range: RisingRange | None = None
    alarm: Annotated[tuple[AlarmConfig, ...], Field(max_length=ALARMS_MAX)] = ()


class DeviceFieldConfig(Strict):
    """[device.fields.NAME]: what differs for one field of one device."""

    every: Duration | None = None
    writable: bool = False
    report: ReportConfig | None = None
    correct: CorrectConfig | None = None
    alarm: Annotated[tuple[AlarmConfig, ...], Field(max_length=ALARMS_MAX)] = ()
