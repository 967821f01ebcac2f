from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from domain.checks.findings import FileColumns, SourceSample
from domain.checks.fleet import collect_findings

FIRST = date(2024, 1, 1)
STORES, BRANDS = ("1", "2", "3"), ("a", "b")


def sales(days=60, step=1, stores=STORES, brands=BRANDS, start=0, **columns):
    """One row per store, brand and `step` days; `columns` are functions of the row's number, or values."""
    keys = [(s, b, start + d * step) for s in stores for b in brands for d in range(days)]
    table = {
        "store": [s for s, _, _ in keys],
        "brand": [b for _, b, _ in keys],
        "day": [str(FIRST + timedelta(days=d)) for _, _, d in keys],
        "units": [f"{5 + i % 7}" for i in range(len(keys))],
        "price": [f"{1 + 0.01 * (i % 17)}" for i in range(len(keys))],
    }
    for name, value in columns.items():
        table[name] = [value(i) for i in range(len(keys))] if callable(value) else [value] * len(keys)
    return pa.table(table)


def sample(*tables, **changes):
    named = tuple(FileColumns(f"{i}.csv", tuple(t.column_names)) for i, t in enumerate(tables))
    counts = {"files": len(tables), "size": 1000, "read_files": len(tables), "head_rows": 10_000}
    return SourceSample("in", named=named, chunks=tables, **counts | changes)


def check(fleet, *tables, workers=2, score=None, test=None, **changes):
    samples = {"source": sample(*tables, **changes)}
    samples |= {"score.source": sample(score)} if score is not None else {}
    samples |= {"test.source": sample(test)} if test is not None else {}
    return collect_findings(fleet, samples, workers)


def problem_of(findings, key):
    """Severity and text of the only problem of a key."""
    problems = [problem for problem in findings.problems if problem.key == key]
    assert len(problems) == 1, findings.problems
    return problems[0].severity, problems[0].message


@pytest.fixture
def shop(fleet):
    """Builds a fleet of the sales above without any problem."""

    def build(**changes):
        scored = {"score": {"source": {"path": "in"}}}
        return fleet.forecast(**scored | {"partition": {"min_rows": 10}} | changes)

    return build


def future(steps=3, days=60, **how):
    return sales(steps, start=days, **how).drop_columns(["units"])


def test_clean_data_give_facts_and_no_problem(shop):
    findings = check(shop(), sales(), score=future())
    assert findings.problems == ()
    assert (findings.segments.count, findings.segments.rows_min, findings.segments.rows_median) == (6, 60, 60)
    assert (findings.segments.short, findings.segments.ended, findings.segments.repeated) == (0, 0, 0)
    assert (findings.time.first, findings.time.last, findings.time.fitting) == ("2024-01-01", "2024-02-29", "D")
    assert (findings.score.segments, findings.score.unseen, findings.score.covered) == (6, 0, 1.0)
    units = next(column for column in findings.columns if column.name == "units")
    assert (units.roles, units.type, units.low, units.high) == (("target.column",), "integer", "5.000", "11.00")
    assert [(s.role, s.rows, s.accepted) for s in findings.sources] == [("source", 360, 360), ("score.source", 18, 18)]


def test_missing_column_is_an_error_that_names_the_nearest(shop):
    findings = check(shop(features={"known": ["prise"]}), sales())
    severity, message = problem_of(findings, "features.known")
    assert severity == "error"
    assert "no column 'prise'" in message
    assert "did you mean 'price'?" in message
    assert findings.segments is None
    assert {column.name for column in findings.columns} == {"store", "brand", "day", "units"}


def test_column_that_one_file_of_two_lacks_names_the_file(shop):
    lacking = FileColumns("old.csv", ("store", "brand", "day", "units"))
    whole = sample(sales())
    findings = collect_findings(
        shop(), {"source": SourceSample("in", named=(*whole.named, lacking), chunks=whole.chunks)}, 1
    )
    assert "'price' in 1 of 2 files (old.csv)" in problem_of(findings, "features.known")[1]
    assert findings.segments.count == 6


def test_feature_that_scoring_input_lacks_is_an_error(shop):
    findings = check(shop(), sales(), score=future().drop_columns(["price"]))
    assert problem_of(findings, "score.source (features.known)")[0] == "error"


@pytest.mark.parametrize(
    ("step", "frequency", "fits"), [(7, "D", "W"), (1, "W", "D"), (30, "W", "30D"), (91, "M", "13W")]
)
def test_wrong_frequency_names_the_one_to_use(shop, step, frequency, fits):
    findings = check(shop(time={"column": "day", "frequency": frequency}), sales(40, step))
    severity, message = problem_of(findings, "time.frequency")
    assert severity == "warning"
    assert f"use {fits}" in message


def test_hours_in_a_daily_fleet_are_detected_although_times_are_rounded(shop):
    hours = [datetime(2024, 1, 1) + timedelta(hours=hour) for hour in range(60)]
    table = sales().drop_columns(["day"]).append_column("day", pa.array([t.isoformat() for t in hours] * 6))
    assert "use h" in problem_of(check(shop(), table), "time.frequency")[1]


def test_rows_only_when_something_sold_do_not_make_a_frequency_wrong(shop):
    rng = np.random.default_rng(1)
    table = sales(300)
    kept = table.filter(pa.array(rng.random(table.num_rows) < 0.15))
    assert not [p for p in check(shop(), kept, score=future(days=300)).problems if p.key == "time.frequency"]


def test_nearly_one_segment_per_row_is_an_error_that_names_the_column_to_drop(shop):
    table = sales(200, ticket=lambda i: f"t{i}")
    findings = check(shop(segment_by=["brand", "ticket", "store"], fallback=["global"]), table)
    severity, message = problem_of(findings, "segment_by")
    assert severity == "error"
    assert "1,200 segments for 1,200 rows" in message
    assert "without 'ticket' there are 6 segments of 200" in message


def test_a_single_segment_column_that_never_repeats_names_others(shop):
    table = sales(200, ticket=lambda i: f"t{i}")
    message = problem_of(
        check(shop(segment_by=["ticket"], fallback=["global"]), table, unused={"store": 3}), "segment_by"
    )[1]
    assert "such as store (3 values)" in message


def test_a_sample_only_warns_of_too_many_segments(shop):
    table = sales(200, ticket=lambda i: f"t{i}")
    findings = check(shop(segment_by=["ticket"], fallback=["global"]), table, whole=False)
    assert problem_of(findings, "segment_by")[0] == "warning"


def test_more_segments_than_allowed_is_an_error(shop):
    findings = check(shop(partition={"min_rows": 10, "max_segments": 5}), sales(), score=future())
    assert problem_of(findings, "partition.max_segments")[0] == "error"


def test_segments_below_min_rows_are_counted_and_warned_of_from_a_fifth_on(shop):
    table = pa.concat_tables([sales(stores=("1",)), sales(5, stores=("9",), start=55)])
    findings = check(shop(), table)
    assert findings.segments.short == 2
    assert "2 of 4 segments" in problem_of(findings, "partition.min_rows")[1]
    one = pa.concat_tables([sales(), sales(5, stores=("9",), brands=("a",), start=55)])
    quiet = check(shop(), one, score=pa.concat_tables([future(), future(stores=("9",), brands=("a",))]))
    assert (quiet.segments.short, quiet.problems) == (1, ())
    assert problem_of(check(shop(), sales(5)), "partition.min_rows")[0] == "error"


def test_segments_that_ended_long_ago_are_counted_and_need_no_future(shop):
    table = pa.concat_tables([sales(), sales(20, stores=("old",))])
    findings = check(shop(), table, score=future())
    assert findings.segments.ended == 2
    assert findings.score.covered == 1.0
    with_theirs = pa.concat_tables([future(stores=("1", "2")), future(days=20, stores=("old",))])
    assert check(shop(), table, score=with_theirs).score.covered == pytest.approx(4 / 6)
    assert "2 of 8 segments ended" in problem_of(findings, "source")[1]


def test_repeated_rows_are_counted_but_not_as_rows_of_a_segment(shop):
    table = pa.concat_tables([sales(), sales(2)])
    findings = check(shop(), table, score=future())
    assert (findings.segments.repeated, findings.segments.rows_max) == (12, 60)
    assert "12 rows" in problem_of(findings, "validation.duplicates")[1]
    assert problem_of(check(shop(), sales(), sales(), score=future()), "segment_by")[1].startswith(
        "360 rows (50.0 %) repeat"
    )


def test_rejected_rows_are_reported_by_reason_with_an_example(shop):
    odd = [f"{i}" if i % 10 else "n/a" for i in range(360)]
    table = sales().drop_columns(["units"]).append_column("units", pa.array(odd))
    findings = check(shop(), table, score=future())
    assert findings.sources[0].rejected == {"unparsable: units is not a number": 36}
    message = problem_of(findings, "target.column")[1]
    assert "10.0 % of the rows" in message
    assert "'n/a'" in message


def test_times_that_cannot_be_read_in_any_row_are_an_error(shop):
    findings = check(shop(), sales(day="31.12.2024"))
    severity, message = problem_of(findings, "time.column")
    assert severity == "error"
    assert "give time.format" in message


def test_values_below_the_minimum_are_reported_with_the_lowest(shop):
    table = sales(units=lambda i: "-3" if i % 4 == 0 else "2")
    findings = check(shop(target={"column": "units", "minimum": 0.0, "transform": "log1p"}), table, score=future())
    assert findings.segments.below_minimum == 0.25
    assert "25.0 %" in problem_of(findings, "target.minimum")[1]
    assert "-3" in problem_of(findings, "target.transform")[1]


def test_columns_without_effect_or_in_the_wrong_place_are_reported(shop):
    features = {"known": ["price", "one", "code"], "static": ["moving"], "categorical": ["colour"], "max_levels": 4}
    extra = {"one": "5", "code": lambda i: str(i % 4), "moving": lambda i: str(i), "colour": lambda i: f"c{i % 9}"}
    findings = check(
        shop(segment_by=["store", "brand", "land"], features=features, score=None), sales(land="x", **extra)
    )
    messages = [problem.message for problem in findings.problems if problem.severity == "warning"]
    for part in (
        "column 'land' has only one value ('x')",
        "column 'one' is constant (5.000)",
        "column 'code' has only 4 values",
        "column 'moving' changes within 6 of 6 segments",
        "column 'colour' has 9 values, but only the 4",
        "forecasts carry the last known price, one, code, colour forward",
    ):
        assert sum(part in message for message in messages) == 1, (part, messages)
    assert len(messages) == 6


def test_scoring_input_is_measured_by_segment_and_step(shop):
    rows = pa.concat_tables([future(stores=("1", "2")), future(stores=("7",))])
    findings = check(shop(), sales(), score=rows)
    assert (findings.score.segments, findings.score.unseen) == (6, 2)
    assert findings.score.covered == pytest.approx(4 / 6)
    messages = [problem.message for problem in findings.problems]
    assert any("2 of 6 segments are not in the training data" in message for message in messages)
    assert any("rows for 67 % of the next 3 periods" in message for message in messages)


def test_rows_beyond_the_horizon_and_before_it_cover_nothing(shop):
    rows = pa.concat_tables([future(9, stores=("1", "2")), future(3, days=57, stores=("3",))])
    assert check(shop(), sales(), score=rows).score.covered == pytest.approx(4 / 6)


def test_scoring_input_without_a_common_segment_is_an_error(shop):
    findings = check(shop(), sales(), score=future(stores=("01", "02")))
    severity, message = problem_of(findings, "score.source")
    assert severity == "error"
    assert "here 'store=0" in message


def test_scoring_input_of_another_time_is_reported_with_both_ends(shop):
    message = problem_of(check(shop(), sales(), score=future(days=30)), "score.source")[1]
    assert "end on 2024-02-29; its rows are from 2024-01-31 to 2024-02-02" in message


def test_actuals_may_have_another_name_for_the_target_and_need_no_features(shop):
    actuals = future().drop_columns(["price"]).append_column("truth", pa.array(["1"] * 18))
    tested = shop(test={"source": {"path": "in"}, "target": "truth"})
    findings = check(tested, sales(), score=future(), test=actuals)
    assert findings.problems == ()
    assert findings.test.covered == 1.0
    lacking = check(tested, sales(), score=future(), test=actuals.drop_columns(["truth"]))
    assert problem_of(lacking, "test.source (test.target)")[0] == "error"


def test_files_with_other_types_are_read_as_one_column(shop):
    typed = sales(stores=("8",)).set_column(3, "units", pa.array([1.0] * 120))
    findings = check(shop(), sales(), typed)
    units = next(column for column in findings.columns if column.name == "units")
    assert units.type == "mixed (double, string)"
    assert findings.segments.count == 8


def test_estimate_counts_models_and_grows_with_the_work(shop):
    small = check(shop(), sales(), score=future()).estimate
    assert (small.models, small.levels, small.backtest_fits) == (9, 3, 27)
    more = check(shop(candidates=["seasonal_naive", "lightgbm"]), sales(), score=future()).estimate
    assert more.backtest_fits == 54
    assert more.train_seconds > small.train_seconds + 0.5
    assert check(shop(), sales(), score=future(), workers=8).estimate.peak_memory_bytes > small.peak_memory_bytes
    sampled = check(shop(), sales(), score=future(), whole=False, share_read=0.1).estimate
    assert sampled.lake_bytes > small.lake_bytes


def test_regression_fleet_without_time_is_checked(fleet):
    rows = pa.table(
        {
            "route": ["a", "b"] * 50,
            "ride": [str(i) for i in range(100)],
            "distance": [str(i % 30) for i in range(100)],
            "weather": ["wet", "dry", "fog", "dry"] * 25,
            "minutes": [str(i % 13) for i in range(100)],
        }
    )
    findings = collect_findings(fleet.regression(), {"source": sample(rows)}, 2)
    assert findings.time is None
    assert (findings.segments.count, findings.segments.rows_min) == (2, 50)
    assert problem_of(findings, "score")[1].startswith("there is no scoring input")
    assert len(findings.problems) == 1


def test_a_mistyped_year_is_a_warning_that_names_the_row_and_accuses_no_segment(shop):
    rows = sales()
    typo = pa.table({name: [value] for name, value in rows.slice(0, 1).to_pylist()[0].items()})
    typo = typo.set_column(typo.column_names.index("day"), "day", pa.array(["2204-12-25"]))
    fleet = shop(score=None)
    late = check(fleet, pa.concat_tables([rows, typo]))
    severity, message = problem_of(late, "validation.time_range")
    assert severity == "warning"
    assert message.startswith("1 row with a time that can hardly be meant, such as '2204-12-25' of store '1', ")
    assert "years" in message or "a gap of many times" in message
    assert late.segments.ended == 0
    assert not [problem for problem in check(fleet, rows).problems if problem.key == "validation.time_range"]


def test_a_target_that_says_yes_or_no_is_told_with_the_closest_way(fleet):
    n = 120
    rows = {"route": ["a"] * n, "ride": [f"r{k}" for k in range(n)], "distance": [k % 9 for k in range(n)]}
    rows |= {"weather": ["sun", "rain"] * (n // 2)}
    for values, severity in ((["ja", "nein"], "error"), ([1, 0], "warning")):
        table = pa.table(rows | {"minutes": values * (n // 2)})
        told, message = problem_of(check(fleet.regression(), table), "target.column")
        assert told == severity
        assert "yes or no" in message
        assert "there is no classification yet. The closest is task: regression on 1 and 0" in message
