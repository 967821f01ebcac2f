"""Write docs/fleet.md, the reference of the fleet file, from the schema in domain/config/.

Run it from the root of the repository after every change to the schema: `.venv/bin/python -m docs.generate`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from domain.config.candidates import CANDIDATES, ENSEMBLE
from domain.config.fleet import Fleet
from domain.config.frequency import frequency_rule
from domain.config.task_types import TASK_TYPES

__all__ = ["TARGET", "fleet_reference"]

TARGET = Path(__file__).with_name("fleet.md")

Schema: TypeAlias = Mapping[str, Any]

_INTRO = """\
# The fleet file

A fleet is declared in one YAML file, `fleets/NAME.yaml`. Validation is strict: an unknown key, a wrong type or an
impossible combination is an error that names the file, the key, the value and the allowed values. `myriad check FLEET`
validates the file and inspects the data without writing anything. [Sources](sources.md) describes the kinds of sources.

This page is generated from `domain/config/` by `.venv/bin/python -m docs.generate`; a test compares the two.
Examples: [m3](../fleets/m3.yaml) (forecast), [oj](../fleets/oj.yaml) (forecast with known prices),
[flights](../fleets/flights.yaml) (regression).

```yaml
name: oj
task: forecast
source: {path: var/raw/oj/*.parquet}
segment_by: [store, brand]
time: {column: week, frequency: W}
target: {column: units, minimum: 0}
features: {known: [price]}
horizon: 8
candidates: [seasonal_naive, theta, ridge]
fallback: [parent: brand, global]
```
"""

_RULES = """\
## Rules between keys

- `task: forecast` needs `time` and `horizon`, and has no `row_key`: segment and time identify its rows.
- `task: regression` has no `horizon` and needs at least one column in `features`.
- A column has one role: segment column, target, known, static or categorical. A segment column may be categorical too.
- A `parent` of the fallback chain is one of the `segment_by` columns.
- Candidates have distinct names. The name of an estimator is not that of a built-in candidate.
- `params` applies to `lightgbm` and to estimators; the other candidates take none.
- `transform: log1p` excludes a negative `minimum`.
- `time.season` is at most 2,016 periods; `time.zone` is an IANA time zone such as `Europe/Berlin`, or `auto`.
- The names of segment columns differ in more than case.
"""

_CALENDAR = """
Days and longer periods are dates; hours and minutes are UTC instants, and their seasons follow the clock of
`time.zone`: what peaks at 08:00 in Berlin does so in summer and in winter. A day on which clocks change has 23 or 25
hours, in the history and in the forecast.

With `zone: auto`, a date is the one that the file writes, in whatever offset, or that of the time zone of a Parquet
column. With a zone, times with an offset are converted to it first.

Clocks repeat an hour in autumn. Times without an offset are told apart by the order of a segment's rows: the first is
in summer time (the last, if the rows run backwards). An hour that is there once, or more than twice, could be either
and is rejected; so are all of them with `aggregate`. `myriad new` finds the zone by that hour. CSV exports and outputs
of the gateway have hours and minutes in the zone, with the offset written: `2024-10-27T02:00:00+01:00`.

The times of a forecast continue the pattern of the whole history: the first, the 28th, the last day, the last or first
workday, or a weekday such as the third Friday of a month; a usual weekday; a usual minute.

Weekdays and hours that never have a row are no periods: nothing is learnt from them, and nothing is forecast for them.
With `gaps: zero` they count as zero instead. A history is long enough to tell after four weeks, or ten days for hours
of the day, if other periods are rarely empty.

Calendars of 4, 4 and 5 weeks have no frequency of their own: use weeks, and sum the forecasts up.
"""

_METRICS = """\
## Metrics

Lower is better; 0 is perfect. A metric is computed for each window (a backtest fold, or the test part) of a segment,
averaged over the windows, and then averaged over the segments with the weights below. Outside the backtest of a
forecast fleet, `mase` divides by the mean absolute target instead.

| metric | per segment | unit | weight in the fleet's average |
|---|---|---|---|
| `wape` | sum of absolute errors over sum of absolute actuals | share | sum of absolute actuals |
| `smape` | mean of 200 · abs(error) / (abs(actual) + abs(predicted)) | percent, 0 to 200 | 1 per window |
| `mae` | mean absolute error | the target's | number of points |
| `rmse` | root of the mean squared error | the target's | number of points, applied to the squares |
| `mase` | mean absolute error over the in-sample error of the seasonal naive forecast | ratio | 1 per window |
"""


def fleet_reference() -> str:
    """Generate the text of docs/fleet.md."""
    schema = Fleet.model_json_schema()
    sections = [_INTRO, _section("Top level", schema, schema)]
    for name, paths in _paths(schema).items():
        sections.append(_section(", ".join(f"`{path}`" for path in paths), schema["$defs"][name], schema))
    return "\n".join([*sections, _RULES, "\n".join(_candidates()), _METRICS, "\n".join(_seasons())]).rstrip() + "\n"


def _paths(schema: Schema) -> dict[str, list[str]]:
    """Paths of each nested section in the file, by the section's name, in the order of the file."""
    paths: dict[str, list[str]] = {}

    def visit(properties: Schema, prefix: str) -> None:
        for key, value in properties.items():
            for name in _references(value):
                paths.setdefault(name, []).append(prefix + key)
                visit(schema["$defs"][name]["properties"], f"{prefix}{key}.")

    visit(schema["properties"], "")
    return paths


def _references(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rsplit("/", 1)[-1]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _section(title: str, section: Schema, schema: Schema) -> str:
    lines = [f"## {title}", "", "| key | type | default | meaning |", "|---|---|---|---|"]
    required = section.get("required", [])
    for key, value in section["properties"].items():
        default = "required" if key in required else _default(value)
        lines.append(f"| `{key}` | {_type(value)} | {default} | {_meaning(value, schema)} |")
    return "\n".join([*lines, ""])


def _meaning(value: Schema, schema: Schema) -> str:
    # Pydantic omits a description that equals the one of the section it refers to.
    description = value.get("description") or schema["$defs"][next(_references(value))]["description"]
    return str(description).replace("|", r"\|")


def _default(value: Schema) -> str:
    default = value["default"]
    if default is None:
        return "none"
    return "see the section" if "$ref" in value else f"`{json.dumps(default)}`"


def _type(value: Schema) -> str:
    """Describe a type, with its limits."""
    if "anyOf" in value:
        return " or ".join(_type(option) for option in value["anyOf"] if option.get("type") != "null")
    if "$ref" in value:
        return "section"
    if "enum" in value or "const" in value:
        return ", ".join(f"`{item}`" for item in value.get("enum", [value.get("const")]))
    if value["type"] == "array":
        return f"list of {_type(value['items'])}" + (", not empty" if value.get("minItems") else "")
    if value["type"] == "object":
        return "mapping of names to values"
    return {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}[
        value["type"]
    ] + _limits(value)


def _limits(value: Schema) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    above, below = value.get("exclusiveMinimum"), value.get("exclusiveMaximum")
    parts = [f"≥ {low:g}"] if low is not None else []
    parts += [f"> {above:g}"] if above is not None else []
    parts += [f"≤ {high:,}"] if high is not None else []
    parts += [f"< {below:g}"] if below is not None else []
    if value.get("maxLength") == value.get("minLength") == 1:
        parts.append("of one character")
    if "pattern" in value:
        parts.append("that matches `" + value["pattern"].replace("|", r"\|") + "`")
    return (" " if parts else "") + ", ".join(parts)


def _candidates() -> Iterator[str]:
    yield from ("## Built-in candidates", "")
    yield (
        f"A name from this table, or any scikit-learn compatible regressor by import path. The `{ENSEMBLE}` of a "
        "fleet's\ncandidates competes as well unless `combine: false`; it needs at least two candidates."
    )
    yield from ("", "```yaml", "candidates:", "- ridge", "- {name: lightgbm, params: {n_estimators: 50}}")
    yield "- {name: forest, estimator: sklearn.ensemble.RandomForestRegressor, params: {n_estimators: 20}}"
    yield from (
        "```",
        "",
        f"| candidate | {' | '.join(TASK_TYPES)} | summary |",
        "|---" * (len(TASK_TYPES) + 2) + "|",
    )
    for name, spec in CANDIDATES.items():
        marks = " | ".join("yes" if task in spec.tasks else "no" for task in TASK_TYPES)
        yield f"| `{name}` | {marks} | {spec.summary} |"
    yield ""


_FREQUENCIES = {
    "15min": "quarter hours; also `30min`, `10min`, `5min`, `min`",
    "h": "hours; also multiples that divide a day: `2h`, `6h`",
    "D": "days",
    "B": "Monday to Friday; rows on other days are rejected",
    "W": "weeks from Monday to Sunday; `W-FRI` ends on Friday, `2W` is every second week",
    "SM": "half months up to the 15th; `SMS`: up to the 14th",
    "M": "months, whatever the day: `MS`, `ME`, `BMS`, `BME` mean the same; `2M` is every second month",
    "Q": "quarters; `Q-JAN` ends in January; also `QS`, `QE`",
    "Y": "years; `Y-JUN` ends in June; also `YS`, `YE`",
}


def _seasons() -> Iterator[str]:
    yield from ("## Frequencies", "", "Names are those of pandas. Seasons are those of `time.season: auto`.", "")
    yield from ("| frequency | periods | season |", "|---|---|---|")
    for name, text in _FREQUENCIES.items():
        seasons = " and ".join(str(periods) for periods in frequency_rule(name).seasons)
        yield f"| `{name}` | {text} | {seasons} |"
    yield from _CALENDAR.splitlines()


if __name__ == "__main__":
    TARGET.write_text(fleet_reference(), encoding="utf-8")
