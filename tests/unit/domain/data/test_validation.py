"""Raw rows: every row is accepted or rejected with a reason, never both, never neither."""

import datetime as dt
import decimal
import itertools
import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.data.segments import hash_segment, parse_segment
from domain.data.validation import validate_rows

GOOD = {"store": "2", "brand": "x", "day": "2024-01-01", "units": "5", "price": "1.5"}


def check(fleet, rows, first=0, needs_target=True):
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    return validate_rows(table, np.arange(first, first + table.num_rows), fleet, needs_target=needs_target)


def text(**changes):
    return {key: None if value is None else str(value) for key, value in (GOOD | changes).items()}


def test_a_good_row_lands_with_its_key_hash_and_number(fleet):
    landed = check(fleet.forecast(), [text()], first=41)
    assert landed.rejected.num_rows == 0
    assert landed.accepted.to_pylist() == [
        {
            "segment": "store=2/brand=x",
            "hash": hash_segment("store=2/brand=x"),
            "time": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
            "target": 5.0,
            "x_price": 1.5,
            "row": 41,
        }
    ]


@pytest.mark.parametrize(
    ("changes", "reason", "detail"),
    [
        ({"store": None}, "missing_key", "store has no value"),
        ({"brand": "  "}, "missing_key", "brand has no value"),
        ({"day": None}, "missing_key", "day has no value"),
        ({"day": "soon"}, "unparsable", "day is not a time"),
        ({"units": None}, "null_target", "units has no value"),
        ({"units": "many"}, "unparsable", "units is not a number"),
        ({"units": "1,5"}, "unparsable", "units is not a number"),
        ({"units": "inf"}, "non_finite_target", "units is not finite"),
        ({"units": "1e999"}, "non_finite_target", "units is not finite"),
        ({"price": "cheap"}, "unparsable", "price is not a number"),
        ({"price": "-inf"}, "non_finite_feature", "price is not finite"),
        ({"units": "-1e39"}, "non_finite_target", "units is beyond 3.4e+38, the largest number that models hold"),
        ({"price": "3.5e38"}, "non_finite_feature", "price is beyond 3.4e+38, the largest number that models hold"),
    ],
)
def test_every_reason_names_the_column(fleet, changes, reason, detail):
    landed = check(fleet.forecast(), [text(), text(**changes), text(store="3")])
    assert landed.accepted.num_rows == 2
    (rejected,) = landed.rejected.to_pylist()
    assert (rejected["reason"], rejected["detail"], rejected["row"]) == (reason, detail, 1)
    assert json.loads(rejected["content"]) == text(**changes)


@pytest.mark.parametrize(
    ("kind", "lost", "kept"),
    [
        (pa.float64(), [1234567890123456789.0, -(2.0**53), 2.0**60], [2.0**53 - 1, 42.0, 1.5, 16_777_217.0]),
        (pa.float32(), [2.0**24, 33_554_432.0], [2.0**24 - 1, 42.0]),
        (pa.int64(), [], [1234567890123456789, 1234567890123456790]),
    ],
)
def test_a_key_that_floats_cannot_tell_from_its_neighbours_is_rejected(fleet, kind, lost, kept):
    stores = pa.array([*lost, *kept], kind)
    rows = pa.Table.from_pylist([text()] * len(stores)).set_column(0, "store", stores)
    landed = check(fleet.forecast(), rows)
    assert landed.rejected["reason"].to_pylist() == ["inexact_key"] * len(lost)
    assert all("exact id is lost" in detail for detail in landed.rejected["detail"].to_pylist())
    assert landed.accepted.num_rows == len(set(kept))
    ride = pa.array([*lost, *kept], kind)
    table = pa.table({"route": ["a"] * len(ride), "minutes": [1.0] * len(ride), "ride": ride})
    table = table.append_column("distance", table["minutes"]).append_column("weather", table["route"])
    assert check(fleet.regression(), table).accepted.num_rows == len(kept)


def test_a_rejected_row_keeps_its_segment_where_its_keys_can_be_read(fleet):
    rows = [text(units="x"), text(day=None), text(store=None), text(brand=" "), text(units=None, store="a/b")]
    rejected = check(fleet.forecast(), rows).rejected
    assert rejected["segment"].to_pylist() == [
        *["store=2/brand=x"] * 2, None, None, "store=a%2Fb/brand=x"
    ]  # fmt: skip


keys = st.text(st.sampled_from("aA1.0/=% \\\"'\n\t\u0308öñ\u00a0🍣-_*"), min_size=1, max_size=4)


@given(st.lists(st.tuples(keys, keys), min_size=1, max_size=8))
def test_two_rows_share_a_segment_only_if_their_keys_are_the_same_but_for_spaces_around_them(fleet, pairs):
    landed = check(fleet.forecast(), [text(store=store, brand=brand) for store, brand in pairs])
    segments = dict(zip(landed.accepted["row"].to_pylist(), landed.accepted["segment"].to_pylist(), strict=True))
    trimmed = [(store.strip(), brand.strip()) for store, brand in pairs]
    assert set(segments) == {row for row, (store, brand) in enumerate(trimmed) if store and brand}
    for first, second in itertools.combinations(sorted(segments), 2):
        assert (segments[first] == segments[second]) == (trimmed[first] == trimmed[second])


def test_an_hour_that_clocks_repeat_or_skip_is_told_so(fleet):
    berlin = {"column": "day", "frequency": "h", "zone": "Europe/Berlin"}
    hours = [text(day=day) for day in ("2024-03-31T02:00", "2024-10-27T02:00", "2024-10-27T02:00+01:00")]
    landed = check(fleet.forecast(time=berlin), hours)
    assert set(landed.rejected["detail"].to_pylist()) == {
        "day is not a time, or an hour without offset that clocks in Europe/Berlin skip or repeat"
    }
    assert landed.accepted.num_rows == 1


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        *[(text, "non_finite_target") for text in ("inf", "-inf", "+Infinity", "1e400", "-1e999")],
        *[(text, "null_target") for text in (" nan ", "NaN", "-nan")],
    ],
)
@pytest.mark.parametrize("neighbour", ["1", "oops"])
def test_what_is_no_finite_number_is_told_so_whatever_stands_beside_it(fleet, number, reason, neighbour):
    landed = check(fleet.forecast(), [text(units=number), text(units=neighbour)])
    reasons = dict(zip(landed.rejected["row"].to_pylist(), landed.rejected["reason"].to_pylist(), strict=True))
    assert reasons[0] == reason
    assert landed.accepted.num_rows + landed.rejected.num_rows == 2


def test_true_and_false_are_one_and_zero_in_text_as_in_booleans(fleet):
    words = ["true", "FALSE", " True ", "false", "2.5", None, "yes"]
    landed = check(fleet.forecast(), [text(price=word) for word in words])
    assert landed.accepted["x_price"].to_pylist() == [1.0, 0.0, 1.0, 0.0, 2.5, None]
    assert landed.rejected["row"].to_pylist() == [6]
    assert "yes" in landed.rejected["content"][0].as_py()
    typed = pa.table({name: [value] * 2 for name, value in text().items()} | {"price": [True, False]})
    assert check(fleet.forecast(), typed).accepted["x_price"].to_pylist() == [1.0, 0.0]


def test_the_first_of_several_reasons_counts(fleet):
    landed = check(fleet.forecast(), [text(store=None, day="x", units=None)])
    assert landed.rejected["reason"].to_pylist() == ["missing_key"]


def test_a_feature_without_value_is_accepted_as_null(fleet):
    landed = check(fleet.forecast(), [text(price=None), text(price="nan", store="3")])
    assert landed.accepted["x_price"].to_pylist() == [None, None]


def test_rows_to_score_need_no_target(fleet):
    landed = check(fleet.forecast(), pa.Table.from_pylist([text()]).drop_columns("units"), needs_target=False)
    assert landed.accepted["target"].to_pylist() == [None]


def test_regression_rows_keep_categories_and_row_keys(fleet):
    rows = [{"route": "A/B", "minutes": 3, "ride": 7, "distance": 2, "weather": " rain "}]
    landed = check(fleet.regression(), rows)
    accepted = landed.accepted.to_pylist()[0]
    assert accepted["segment"] == "route=A%2FB"
    assert (accepted["time"], accepted["c_weather"], accepted["k_ride"]) == (None, "rain", "7")


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("+5", 5),
        ("5.", 5),
        (".5", 0.5),
        ("-1e3", -1000),
        (" 7 ", 7),
        ("1E-2", 0.01),
        ("+.5", 0.5),
        ("True", 1),
        ("false", 0),
    ],
)
@pytest.mark.parametrize("neighbour", ["1", "oops"])
def test_a_number_is_one_whatever_stands_beside_it(fleet, number, value, neighbour):
    landed = check(fleet.forecast(), [text(units=number), text(units=neighbour)])
    assert value in landed.accepted["target"].to_pylist()


@pytest.mark.parametrize("value", ["0x10", "1_000", "5 5", "--5", "1e", "٣", "T", "yes", "+-5", "1e5.5"])
@pytest.mark.parametrize("neighbour", ["1", "oops"])
def test_what_is_no_number_is_none_whatever_stands_beside_it(fleet, value, neighbour):
    landed = check(fleet.forecast(), [text(units=value), text(units=neighbour)])
    assert 0 in landed.rejected["row"].to_pylist()


TYPED_NUMBERS = [
    pa.array([5], pa.int8()),
    pa.array([5], pa.uint64()),
    pa.array([5], pa.float32()),
    pa.array([5], pa.float16()),
    pa.array([decimal.Decimal("5.00")]),
    pa.array(["5"]).dictionary_encode(),
    pa.array([5]).dictionary_encode(),
    pa.array(["5"], pa.large_string()),
    pa.array(["5"], pa.string_view()),
]


@pytest.mark.parametrize("units", TYPED_NUMBERS, ids=lambda values: str(values.type))
def test_typed_targets_are_numbers(fleet, units):
    table = pa.Table.from_pylist([text()])
    table = table.set_column(table.column_names.index("units"), "units", units)
    assert check(fleet.forecast(), table).accepted["target"].to_pylist() == [5.0]


def test_a_target_of_another_type_rejects_the_rows_that_have_one(fleet):
    table = pa.Table.from_pylist([text(), text()])
    units = pa.array([[1], None])
    landed = check(fleet.forecast(), table.set_column(table.column_names.index("units"), "units", units))
    assert sorted(landed.rejected["reason"].to_pylist()) == ["null_target", "unparsable"]


STORES = [
    (pa.array([2, 3]), ["2", "3"]),
    (pa.array([2.0, float("nan")]), ["2", None]),
    (pa.array([2.0, 2.5]), ["2", "2.5"]),
    (pa.array([1e20, 12345678.0]), [None, "12345678"]),
    (pa.array([12345678.0, 0.5]), ["12345678", "0.5"]),
    (pa.array([-0.0, 0.0]), ["0", "0"]),
    (pa.array([float("inf"), 1.0]), ["inf", "1"]),
    (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    (pa.array([True, False]), ["true", "false"]),
    (pa.array([dt.date(2024, 1, 1), None]), ["2024-01-01", None]),
    (pa.array([b"a", b"\xff"]), [None, None]),
    (pa.array([[1], [2]]), [None, None]),
]


@pytest.mark.parametrize(("stores", "expected"), STORES, ids=lambda values: str(values)[:30])
def test_typed_segment_columns_have_one_text_a_value(fleet, stores, expected):
    table = pa.Table.from_pylist([text(), text()])
    landed = check(fleet.forecast(), table.set_column(table.column_names.index("store"), "store", stores))
    by_row = dict(zip(landed.accepted["row"].to_pylist(), landed.accepted["segment"].to_pylist(), strict=True))
    values = [parse_segment(by_row[row])["store"] if row in by_row else None for row in range(2)]
    assert values == expected
    assert landed.accepted.num_rows + landed.rejected.num_rows == 2


def test_rows_are_sorted_by_segment_hash_and_keep_their_order_within(fleet):
    rows = [text(store=number % 3, units=number) for number in range(30)]
    accepted = check(fleet.forecast(), rows).accepted
    hashes = accepted["hash"].to_pylist()
    assert hashes == sorted(hashes)
    for segment in set(accepted["segment"].to_pylist()):
        numbers = accepted.filter(pc.equal(accepted["segment"], segment))["row"].to_pylist()
        assert numbers == sorted(numbers)


def test_a_table_without_rows_gives_tables_without_rows(fleet):
    landed = check(fleet.forecast(), pa.Table.from_pylist([text()]).slice(0, 0))
    assert (landed.accepted.num_rows, landed.rejected.num_rows) == (0, 0)


numbers = st.none() | st.floats() | st.integers(-(2**60), 2**60)
odd_text = (
    st.none() | st.text(max_size=6) | st.sampled_from(["2", " 2", "2.0", "", "nan", "inf", "+1", "1e3", "é/=%", "NA"])
)
odd_times = (
    odd_text
    | st.datetimes().map(str)
    | st.dates().map(str)
    | st.sampled_from(
        ["2024-03-31T02:30", "2024-10-27T02:30", "2024-10-27T02:30+02:00", "now", "2024-01-01T00:00Z", "9999-12-31"]
    )
)


@st.composite
def hostile_tables(draw):
    n_rows = draw(st.integers(0, 12))

    def texts(of):
        return pa.array(draw(st.lists(of, min_size=n_rows, max_size=n_rows)), pa.string())

    def floats():
        return pa.array(draw(st.lists(st.none() | st.floats(), min_size=n_rows, max_size=n_rows)), pa.float64())

    def mixed():
        return floats() if draw(st.booleans()) else texts(odd_text)

    def times():
        if draw(st.booleans()):
            return texts(odd_times)
        kind = pa.timestamp(
            draw(st.sampled_from(["s", "ms", "us"])), draw(st.sampled_from([None, "UTC", "Asia/Kolkata"]))
        )
        moments = st.none() | st.integers(-(2**31), 2**32)
        return (
            pa.array(draw(st.lists(moments, min_size=n_rows, max_size=n_rows)), pa.int64())
            .cast(pa.timestamp("s"))
            .cast(pa.timestamp(kind.unit))
            .cast(kind)
        )

    table = {"store": mixed(), "brand": texts(odd_text), "day": times(), "units": mixed(), "price": mixed()}
    return pa.table(table)


@given(hostile_tables(), st.sampled_from(["h", "D", "M"]), st.sampled_from(["UTC", "Europe/Berlin"]))
def test_every_row_of_a_hostile_table_is_accepted_or_rejected_once(fleet, table, frequency, zone):
    fleet = fleet.forecast(time={"column": "day", "frequency": frequency, "zone": zone})
    landed = check(fleet, table, first=100)
    seen = landed.accepted["row"].to_pylist() + landed.rejected["row"].to_pylist()
    assert sorted(seen) == list(range(100, 100 + table.num_rows))
    assert np.isfinite(landed.accepted["target"].to_numpy()).all()
    for name in ("segment", "hash", "time", "target"):
        assert landed.accepted[name].null_count == 0
    assert all(reason for reason in landed.rejected["reason"].to_pylist())
    features = landed.accepted["x_price"].drop_null().to_numpy()
    assert np.isfinite(features).all()


@settings(max_examples=30)
@given(hostile_tables())
def test_a_row_is_judged_alone(fleet, table):
    fleet = fleet.forecast()
    whole = check(fleet, table)
    verdicts = dict(zip(whole.rejected["row"].to_pylist(), whole.rejected["reason"].to_pylist(), strict=True))
    keys = dict(zip(whole.accepted["row"].to_pylist(), whole.accepted["segment"].to_pylist(), strict=True))
    for row in range(table.num_rows):
        alone = check(fleet, table.slice(row, 1), first=row)
        assert alone.rejected["reason"].to_pylist() == [verdicts[row] for _ in range(row in verdicts)]
        assert alone.accepted["segment"].to_pylist() == [keys[row] for _ in range(row in keys)]


AUTUMN = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]


def hours(fleet, texts, stores, **changes):
    made = fleet.forecast(
        time={"column": "day", "frequency": "h", "zone": "Europe/Berlin"}, segment_by=["store"], features={},
        fallback=["global"], **changes,
    )  # fmt: skip
    raw = pa.table({"store": stores, "day": texts, "units": [1.0] * len(texts)})
    result = validate_rows(raw, np.arange(len(texts)), made, needs_target=True)
    rows = sorted(zip(result.accepted["row"].to_pylist(), result.accepted["time"].to_pylist(), strict=True))
    return [f"{row}: {time:%H}" for row, time in rows], result.rejected["row"].to_pylist()


def test_the_hour_that_clocks_repeat_is_told_apart_by_the_order_of_the_rows(fleet):
    stores = ["a"] * 4
    assert hours(fleet, AUTUMN, stores) == (["0: 23", "1: 00", "2: 01", "3: 02"], [])
    assert hours(fleet, AUTUMN[::-1], stores) == (["0: 02", "1: 01", "2: 00", "3: 23"], [])
    both = [text for text in AUTUMN for _ in "ab"]
    accepted, rejected = hours(fleet, both, ["a", "b"] * 4)
    assert (accepted[2:6], rejected) == (["2: 00", "3: 00", "4: 01", "5: 01"], [])


def test_an_hour_that_could_be_either_stays_rejected(fleet):
    once = [AUTUMN[0], AUTUMN[1], AUTUMN[3]]
    assert hours(fleet, once, ["a"] * 3) == (["0: 23", "2: 02"], [1])
    assert hours(fleet, [*AUTUMN[:3], AUTUMN[2]], ["a"] * 4)[1] == [1, 2, 3]
    assert hours(fleet, AUTUMN, ["a"] * 4, aggregate="sum")[1] == [1, 2]
    skipped = ["2024-03-31 01:00", "2024-03-31 02:00", "2024-03-31 02:00"]
    assert hours(fleet, skipped, ["a"] * 3)[1] == [1, 2]
