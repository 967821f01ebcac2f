"""Shapes of tables, and the scaffold of each."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from domain.config.fleet import parse_fleet
from domain.config.source import Source
from domain.errors import SourceError
from domain.scaffold.fleet_scaffold import scaffold_fleet
from domain.scaffold.source_profile import SourceProfile, UserOptions
from domain.scaffold.yaml import render_scaffold

DAYS = [str(date(2023, 1, 1) + timedelta(days=d)) for d in range(120)]
WEEKS = [str(date(2023, 1, 2) + timedelta(weeks=w)) for w in range(60)]
MONTHS = [f"{2018 + m // 12}-{m % 12 + 1:02d}" for m in range(48)]


def long(times, seed=0, time="date", target="units", value=None, **keys):
    """One row per combination of keys and time; `value` makes the target from the row's number."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({time: times})
    for name, values in keys.items():
        frame = frame.merge(pd.DataFrame({name: values}), how="cross")
    value = value or (lambda i: 20 + rng.integers(0, 40))
    frame[target] = [value(i) for i in range(len(frame))]
    return frame


def scaffold_of(frame, *, typed=False, source=None, **options):
    """The scaffold; its text is parsed as a fleet file and says the same."""
    table = pa.Table.from_pandas(frame if typed else frame.astype(object).map(text), preserve_index=False)
    profile = SourceProfile(source or Source(path="data/a.csv"), 1, len(frame), True)
    scaffold = scaffold_fleet(table, profile, UserOptions(**options), "shop")
    rendered = render_scaffold(scaffold)
    content = yaml.safe_load(rendered)
    assert content == dict(scaffold.content)
    assert all(len(line) <= 160 for line in rendered.splitlines() if line.startswith("#"))
    parse_fleet(content, "shop.yaml")
    return scaffold


def text(value):
    return None if pd.isna(value) else str(value)


def error_of(frame, **options):
    """The message of the error."""
    with pytest.raises(SourceError) as caught:
        scaffold_of(frame, **options)
    return str(caught.value)


def choice_of(scaffold, key):
    return next(choice for choice in scaffold.choices if choice.key == key)


def test_daily_sales_of_stores_and_products():
    scaffold = scaffold_of(
        long(DAYS, store=["1", "2", "3", "4"], product=["Cola", "Milk", "Tea"]).sample(frac=1, random_state=1)
    )
    content = scaffold.content
    assert (content["task"], content["segment_by"]) == ("forecast", ["store", "product"])
    assert content["time"] == {"column": "date", "frequency": "D"}
    assert content["target"] == {"column": "units", "minimum": 0}
    assert content["horizon"] == 14
    assert content["fallback"] == [{"parent": "store"}, {"parent": "product"}, "global"]
    assert content["partition"] == {"min_rows": 30}
    assert scaffold.open == ()


@pytest.mark.parametrize(
    ("times", "column", "expected"),
    [
        (MONTHS, "month", {"frequency": "M"}),
        ([month.replace("-", "") for month in MONTHS], "period", {"frequency": "M", "format": "%Y%m"}),
        (WEEKS, "week", {"frequency": "W"}),
        ([f"{y}-W{w:02d}" for y in (2022, 2023) for w in range(1, 53)], "week", {"frequency": "W"}),
        ([f"{y}-Q{q}" for y in range(2010, 2020) for q in (1, 2, 3, 4)], "quarter", {"frequency": "Q"}),
        ([f"Q{q} {y}" for y in range(2010, 2020) for q in (1, 2, 3, 4)], "quarter", {"frequency": "Q"}),
        ([str(y) for y in range(1980, 2020)], "year", {"frequency": "Y", "format": "%Y"}),
        ([f"{d[8:]}.{d[5:7]}.{d[:4]}" for d in DAYS], "Datum", {"frequency": "D", "format": "%d.%m.%Y"}),
        ([f"{d[5:7]}/{d[8:]}/{d[:4]}" for d in DAYS], "day", {"frequency": "D", "format": "%m/%d/%Y"}),
        ([f"{d[8:]}/{d[5:7]}/{d[:4]}" for d in DAYS], "day", {"frequency": "D", "format": "%d/%m/%Y"}),
        ([d.replace("-", "") for d in DAYS], "ds", {"frequency": "D", "format": "%Y%m%d"}),
        ([f"2024-01-{d:02d} {h:02d}:00" for d in range(1, 8) for h in range(24)], "time", {"frequency": "h"}),
        ([f"{d}T00:00:00+01:00" for d in DAYS], "day", {"frequency": "D"}),
        ([f"{y}-W{w}" for y in (2022, 2023) for w in range(1, 53)], "week", {"frequency": "W"}),
        ([f"{y}{w:02d}" for y in (2022, 2023) for w in range(1, 53)], "week", {"frequency": "W", "format": "%G%V"}),
        ([f"2022{w:02d}" for w in range(1, 13)], "week", {"frequency": "W", "format": "%G%V"}),
        ([str(44562 + i) for i in range(200)], "date", {"frequency": "D", "format": "excel"}),
        ([str(44562 + 7 * i) for i in range(200)], "date", {"frequency": "W", "format": "excel"}),
        ([f"{44562 + i / 24:.9f}" for i in range(200)], "date", {"frequency": "h", "format": "excel"}),
        ([f"2024-01-{d:02d} {h}:00" for d in range(1, 8) for h in range(1, 25)], "time", {"frequency": "h"}),
        (
            [f"01/{m:02d}/{y}" for y in (2022, 2023) for m in range(1, 13)],
            "day",
            {"frequency": "M", "format": "%d/%m/%Y"},
        ),
        (
            [f"{m:02d}/01/{y}" for y in (2022, 2023) for m in range(1, 13)],
            "day",
            {"frequency": "M", "format": "%m/%d/%Y"},
        ),
    ],
)
def test_times_are_read_as_they_are_written(times, column, expected):
    assert scaffold_of(long(times, time=column, store=["a", "b"])).content["time"] == {"column": column} | expected


def test_offsets_of_summer_and_winter_name_the_zone_of_hours_and_days_are_those_that_are_written():
    for frequency, zone in (("h", {"zone": "Europe/Berlin"}), ("D", {})):
        days = pd.date_range("2024-03-01", periods=1000, freq=frequency, tz="Europe/Berlin")
        content = scaffold_of(long([day.isoformat() for day in days], store=["a", "b"])).content
        assert content["time"] == {"column": "date", "frequency": frequency} | zone


def test_offsets_of_one_digit_are_hours():
    days = pd.date_range("2024-03-01", periods=1000, freq="h", tz="Europe/Berlin")
    content = scaffold_of(long([day.isoformat().replace("+0", "+") for day in days], store=["a", "b"])).content
    assert content["time"] == {"column": "date", "frequency": "h", "zone": "Europe/Berlin"}


def test_an_offset_that_no_zone_is_known_by_is_explained():
    days = pd.date_range("2024-03-01", periods=500, freq="h", tz="Asia/Kolkata")
    scaffold = scaffold_of(long([day.isoformat() for day in days], store=["a", "b"]))
    assert scaffold.content["time"] == {"column": "date", "frequency": "h"}
    assert "Times carry the offset +05:30; if clocks change there, set zone" in choice_of(scaffold, "time").why


def test_closed_weekdays_are_no_gaps():
    days = [str(day.date()) for day in pd.bdate_range("2022-01-03", periods=300)]
    kept = [day for number, day in enumerate(days) if number % 25]
    scaffold = scaffold_of(long(kept, store=["a", "b"]))
    assert scaffold.content["time"] == {"column": "date", "frequency": "D"}
    assert "weekdays that never have a row, and no periods" in choice_of(scaffold, "time").why


@pytest.mark.parametrize(("frequency", "seconds"), [("h", 60), ("15min", 40), ("D", 3_000)])
def test_times_near_full_periods_are_to_be_rounded_and_no_sensors_merged(frequency, seconds):
    rng = np.random.default_rng(1)
    full = pd.date_range("2024-01-01", periods=400, freq=frequency)
    parts = [
        pd.DataFrame({"time": full + pd.to_timedelta(rng.integers(-seconds, seconds, 400), "s"), "sensor": name})
        for name in ("a", "b")
    ]
    message = error_of(
        pd.concat(parts).assign(value=lambda f: np.arange(len(f)) % 17, time=lambda f: f.time.astype(str))
    )
    assert f'.dt.round("{frequency}")' in message
    assert 'groupby(["sensor", "time"], as_index=False)["value"].mean()' in message


def test_day_and_month_that_no_value_distinguishes_are_an_open_choice():
    days = [f"{m:02d}/{d:02d}/2023" for m in range(1, 13) for d in range(1, 13)]
    choice = choice_of(scaffold_of(long(days, store=["a", "b"])), "time")
    assert not choice.sure
    assert "could also be %d/%m/%Y" in choice.why


def test_gaps_of_rows_that_are_there_only_when_sold_count_as_zero():
    frame = long(DAYS * 3, store=["a", "b"]).drop_duplicates(["date", "store"]).sample(frac=0.3, random_state=1)
    content = scaffold_of(frame).content
    assert content["time"] == {"column": "date", "frequency": "D", "gaps": "zero"}
    assert "croston" in content["candidates"]


def test_a_few_repeated_rows_do_not_hide_the_segments():
    frame = long(DAYS, store=["1", "2", "3"])
    scaffold = scaffold_of(pd.concat([frame, frame.head(3)]))
    assert scaffold.content["segment_by"] == ["store"]
    assert "repeat a segment and period" in choice_of(scaffold, "segment_by").why


def test_the_fewest_columns_are_segments_and_their_groups_are_named():
    frame = long(DAYS, item=["i1", "i2", "i3", "i4"])
    frame["family"] = frame.item.map({"i1": "x", "i2": "x", "i3": "y", "i4": "y"})
    scaffold = scaffold_of(frame)
    assert scaffold.content["segment_by"] == ["item"]
    assert "one value of family" in choice_of(scaffold, "segment_by").why


def test_ids_with_leading_zeros_are_segments_and_never_the_target():
    scaffold = scaffold_of(long(DAYS, meter=["0017", "0240", "1033"], target="reading"))
    assert (scaffold.content["segment_by"], scaffold.content["target"]["column"]) == (["meter"], "reading")


def test_prices_and_flags_are_offered_but_not_used_without_a_file_of_future_values():
    frame = long(DAYS, store=["a", "b"])
    frame["price"], frame["promo"] = np.tile([1.9, 2.5, 2.9], len(frame))[: len(frame)], np.arange(len(frame)) % 5 == 0
    scaffold = scaffold_of(frame)
    assert "features" not in scaffold.content
    assert scaffold.hints["features"] == {"known": ["price", "promo"]}
    assert "# features: {known: [price, promo]}" in render_scaffold(scaffold)


def test_a_series_without_segments_becomes_one_segment():
    content = scaffold_of(long(DAYS, time="ds", target="y")).content
    assert content["source"] == {"path": "data/a.csv", "constants": {"series": "all"}}
    assert content["segment_by"] == ["series"]


def test_the_added_column_has_a_name_of_its_own():
    frame = long(DAYS, time="ds", target="y").assign(series="x")
    assert scaffold_of(frame).content["source"]["constants"] == {"all_rows": "all"}


def test_skewed_targets_are_fitted_on_a_log_scale_and_signed_ones_have_no_minimum():
    rng = np.random.default_rng(1)
    skewed = scaffold_of(long(DAYS, store=["a", "b"], value=lambda i: round(float(rng.lognormal(3, 1.2)), 2)))
    assert skewed.content["target"] == {"column": "units", "transform": "log1p", "minimum": 0}
    signed = scaffold_of(long(DAYS, store=["a", "b"], value=lambda i: round(float(rng.normal(0, 5)), 2)))
    assert signed.content["target"] == {"column": "units"}
    assert signed.content["backtest"] == {"metric": "mae"}


def test_short_segments_get_a_short_horizon_and_a_low_limit():
    content = scaffold_of(long([str(y) for y in range(2012, 2021)], time="year", country=["x", "y", "z"])).content
    assert (content["horizon"], content["partition"]) == (2, {"min_rows": 9})
    assert "ridge" not in content["candidates"]


def test_a_target_without_a_telling_name_is_a_guess():
    frame = long(DAYS, store=["a", "b"], target="alpha").assign(beta=lambda f: np.arange(len(f)) * 1.5)
    choice = choice_of(scaffold_of(frame), "target")
    assert (choice.value, choice.others, choice.sure) == ("beta", ("alpha",), False)
    assert scaffold_of(frame, target="alpha").content["target"]["column"] == "alpha"


def policies(rows=600):
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "policy_no": [f"P{i:05d}" for i in range(rows)],
            "age": rng.integers(18, 65, rows),
            "smoker": rng.choice(["yes", "no"], rows),
            "region": rng.choice(["north", "south", "west"], rows),
            "charges": rng.gamma(2.0, 900.0, rows).round(2),
        }
    )


def test_rows_without_a_time_are_a_regression_with_a_key_and_features():
    scaffold = scaffold_of(policies().assign(charges_eur=lambda f: f.charges * 1.1))
    content = scaffold.content
    assert (content["task"], content["segment_by"], content["row_key"]) == ("regression", ["region"], ["policy_no"])
    assert content["features"] == {"known": ["age"], "categorical": ["smoker"]}
    assert "time" not in content
    assert "nearly the same as the target" in choice_of(scaffold, "features").why
    assert "smoker: 2 segments" in choice_of(scaffold, "segment_by").others


def orders(rows=3000):
    rng = np.random.default_rng(3)
    columns = {"store": ["a", "b"], "product": ["x", "y"]}
    frame = pd.DataFrame({name: rng.choice(values, rows) for name, values in columns.items()})
    return frame.assign(order_date=rng.choice(DAYS, rows), quantity=rng.integers(1, 9, rows))


def test_several_rows_per_period_are_a_regression_where_they_do_not_add_up():
    frame = orders().rename(columns={"quantity": "rating"}).assign(weight=lambda f: f.index % 97 / 10)
    scaffold = scaffold_of(frame, target="rating")
    assert scaffold.content["task"] == "regression"
    assert scaffold.content["time"] == {"column": "order_date", "frequency": "D"}
    assert not choice_of(scaffold, "task").sure
    assert "aggregate to one row per segment and period" in choice_of(scaffold, "task").why


def test_several_rows_per_period_are_added_up():
    scaffold = scaffold_of(orders())
    content = scaffold.content
    assert (content["task"], content["aggregate"], content["time"]["frequency"]) == ("forecast", "sum", "D")
    assert list(content)[list(content).index("target") + 1] == "aggregate"
    assert not choice_of(scaffold, "task").sure
    assert "--task regression" in choice_of(scaffold, "task").why
    assert scaffold_of(orders(), segment_by=("store",), horizon=7).content["segment_by"] == ["store"]
    assert scaffold_of(orders().assign(weight=1.5 + orders().index % 9), task="regression").content["task"] == (
        "regression"
    )


def test_receipts_at_any_minute_are_added_up_and_measurements_are_not():
    rng = np.random.default_rng(5)
    receipts = [
        (f"{day} {8 + 2 * number:02d}:{rng.integers(60):02d}", store, 5 + number)
        for day in DAYS
        for store in "ab"
        for number in range(int(rng.integers(2, 6)))
    ]
    content = scaffold_of(pd.DataFrame(receipts, columns=["time", "store", "sales"])).content
    assert (content["aggregate"], content["time"]["frequency"]) == ("sum", "D")
    hours = [f"{day} {hour:02d}:17" for day in DAYS for hour in range(8, 20, 3)]
    content = scaffold_of(long(hours, time="time", target="sales", store=["a", "b"])).content
    assert "aggregate" not in content


def test_what_is_sold_is_predicted_before_its_price():
    frame = long(DAYS, Filiale=["a", "b"], target="Umsatz").assign(
        Preis=lambda f: 2 + np.arange(len(f)) % 7 / 10, Menge=lambda f: np.arange(len(f)) % 11 * 1.5
    )
    choice = choice_of(scaffold_of(frame), "target")
    assert (choice.value, choice.others) == ("Umsatz", ("Menge", "Preis"))
    assert "--target" in choice.why


@pytest.mark.parametrize("minutes", [1, 5, 10, 15, 30])
def test_minutes_are_periods(minutes):
    times = [str(datetime(2024, 1, 1) + timedelta(minutes=minutes * i)) for i in range(500)]
    content = scaffold_of(long(times, time="time", target="load", meter=["a", "b"])).content
    assert content["time"] == {"column": "time", "frequency": "min" if minutes == 1 else f"{minutes}min"}
    assert content["horizon"] == min(1440 // minutes, 125)


def test_rows_closer_than_a_minute_are_measurements_with_a_mean():
    times = [str(datetime(2024, 1, 1) + timedelta(seconds=15 * i)) for i in range(20_000)]
    content = scaffold_of(long(times, time="time", target="load", meter=["a", "b"])).content
    assert (content["aggregate"], content["time"]["frequency"]) == ("mean", "h")
    assert "less than a minute apart" in error_of(long(times[:500], time="time", target="load", meter=["a", "b"]))


def test_a_column_per_period_is_an_error_with_the_way_out():
    frame = pd.DataFrame({"item": ["a", "b", "c"], **{month: [1, 2, 3] for month in MONTHS[:12]}})
    message = error_of(frame)
    assert "12 columns ('2018-01'," in message
    assert 'melt(id_vars=["item"]' in message


def test_year_and_month_in_columns_of_their_own_have_to_be_joined():
    frame = pd.DataFrame([(y, m, s, y % 7 + m) for s in "ab" for y in (2020, 2021, 2022) for m in range(1, 13)])
    frame.columns = ["year", "month", "store", "sales"]
    assert 'dict(year=frame["year"], month=frame["month"], day=1)' in error_of(frame)


def test_seconds_since_1970_are_an_error():
    frame = long([str(1_700_000_000 + 3600 * i) for i in range(100)], time="timestamp", sensor=["a", "b"])
    assert "times in s since 1970" in error_of(frame)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": "unit"}, "--target unit: no such column; did you mean 'units'?"),
        ({"target": "store"}, "--target store: its values ('a', 'b') are not numbers"),
        ({"time": "store"}, "--time store: its values ('a', 'b') are not in a known time format"),
        ({"segment_by": ("shop",)}, "--segment-by shop: no such column"),
        ({"segment_by": ("units",), "target": "units"}, "units is named twice"),
        ({"task": "regression", "horizon": 3}, "task regression has no horizon"),
    ],
)
def test_options_are_checked_against_the_file(options, message):
    assert message in error_of(long(DAYS, store=["a", "b"]), **options)


def test_options_are_followed():
    frame = long(DAYS, store=["a", "b"]).assign(shipped=lambda f: f.date, other=lambda f: f.units % 11)
    scaffold = scaffold_of(frame, target="other", time="shipped", segment_by=("store",), horizon=5, task="forecast")
    assert scaffold.content["target"]["column"] == "other"
    assert (scaffold.content["time"]["column"], scaffold.content["horizon"]) == ("shipped", 5)
    assert scaffold_of(frame, task="regression").content["task"] == "regression"


def test_without_a_number_the_error_describes_the_columns():
    frame = pd.DataFrame({"date": DAYS, "store": "a", "sales": [f"1,{i % 900 + 100}.50" for i in range(len(DAYS))]})
    message = error_of(frame)
    assert "'store' has one value ('a')" in message
    assert "'sales' holds numbers with separators or units" in message
    assert "--target" in message


def test_a_forecast_without_times_is_an_error_that_describes_the_columns():
    message = error_of(policies(), horizon=3)
    assert "a forecast needs a column of times" in message
    assert "'region' holds text ('" in message
    assert "--time" in message


def test_typed_columns_are_read_as_they_are():
    frame = long(pd.date_range("2024-01-01", periods=90), store=[1, 2, 3])
    content = scaffold_of(frame, typed=True).content
    assert content["time"] == {"column": "date", "frequency": "D"}
    assert content["segment_by"] == ["store"]


def test_names_with_spaces_quotes_and_other_scripts_stay_whole():
    frame = long(DAYS, time="Datum: Tag", target='Menge "Stück" #1', **{"店舗, no": ["東京", "大阪 %"]})
    content = scaffold_of(frame).content
    assert content["segment_by"] == ["店舗, no"]
    assert content["target"]["column"] == 'Menge "Stück" #1'


def test_names_and_values_cannot_end_a_comment():
    name = "un\x07its\nname: evil"
    scaffold = scaffold_of(long(DAYS, target=name, store=["a\nhorizon: 3", "b"]))
    assert scaffold.content["target"]["column"] == name
    assert "\nname: evil" not in render_scaffold(scaffold)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Europe/London"])
@pytest.mark.parametrize("minutes", [60, 15])
def test_the_zone_of_local_times_is_found_by_the_hour_that_they_repeat(zone, minutes):
    times = pd.date_range("2024-02-01", "2024-11-30", freq=f"{minutes}min", tz=zone).tz_localize(None)
    frame = long(times.strftime("%Y-%m-%d %H:%M"), time="time", target="load", meter=["a", "b"])
    scaffold = scaffold_of(frame)
    assert scaffold.content["time"]["zone"] == zone
    assert "is there twice in autumn" in choice_of(scaffold, "time").why
    utc = pd.date_range("2024-02-01", "2024-11-30", freq=f"{minutes}min").strftime("%Y-%m-%d %H:%M")
    assert "zone" not in scaffold_of(long(utc, time="time", target="load", meter=["a", "b"])).content["time"]


def customers(**columns):
    return policies().rename(columns={"charges": "spend_limit"}).assign(**columns)


def test_a_target_of_yes_and_no_is_said_plainly_with_the_closest_way():
    churn = np.where(np.arange(600) % 3 == 0, "Ja", "Nein")
    message = error_of(customers(churn=churn), target="churn")
    assert "it says yes or no ('Ja', 'Nein'), and there is no classification yet" in message
    assert "task: regression on 1 and 0" in message
    choice = choice_of(scaffold_of(customers(churn=churn)), "target")
    assert choice.value != "churn"
    assert not choice.sure
    assert "If churn is what you want to know ('Ja', 'Nein'): it says yes or no" in choice.why
    numbers = choice_of(scaffold_of(customers(churn=(churn == "Ja").astype(int)), target="churn"), "target")
    assert not numbers.sure
    assert "churn has no values but 0 and 1, a yes or no: there is no classification yet" in numbers.why
    assert "yes or no" not in choice_of(scaffold_of(policies()), "target").why
