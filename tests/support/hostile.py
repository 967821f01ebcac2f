"""Raw files with everything that goes wrong at once, and what must become of each piece of them."""

import gzip
import unicodedata
import zlib
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from domain.config.fleet import parse_fleet
from domain.data.segments import segment_key

DAYS = 40
FIRST = np.datetime64("2024-03-01")  # Clocks change on the 31st.
HEADER = "shop,item,day,units,price,kind\n"

PLAIN, TYPED, REPEATED, UNPRICED = ("1", "a"), ("77", "typed"), ("twice", "x"), ("unpriced", "x")
CONSTANT, ZERO, ENDED, OLD = ("constant", "x"), ("zero", "x"), ("ended", "x"), ("old", "x")
UNSORTED, OFFSETS, ONE, SHORT = ("unsorted", "x"), ("offsets", "x"), ("one", "x"), ("short", "x")
EXTREME, NO_TARGET, MESSY, UNSEEN = ("extreme", "x"), ("no-target", "x"), ("messy", "x"), ("new", "a")
# Keys that must not collide: with separators, another form of the same letter, another case.
NAMED = [  # A report has to show them too.
    *[
        PLAIN,
        ("2", "a"),
        ("2.0", "a"),
        ("a/b", "c"),
        ("a", "b/c"),
        ("a=b", "c"),
        ("a%2Fb", "c"),
        ("%", "="),
        ("*", "*"),
    ],
    *[("Köln", "ä"), (unicodedata.normalize("NFD", "Köln"), "ä"), ("köln", "ä"), ("日本", "🍣"), ("<b>&", "new\nline")],
]
TRAINED = [*NAMED, CONSTANT, ZERO, ENDED, OLD, UNSORTED, OFFSETS, TYPED, REPEATED, UNPRICED]
LOOK_ALIKE = [("2", "a"), ("Köln", "ä")]
REFUSED = ("cut.parquet", "empty.csv", "lacks.csv", "latin.csv", "twice.csv", "unknown.xyz", "zcopy.csv")


def key(pair):
    return segment_key({"shop": pair[0], "item": pair[1]})


VANISHED = {
    key(NO_TARGET): "all 12 rows are quarantined: 12 null target; see the quarantine table",
    key(MESSY): "all 8 rows are quarantined: 3 non finite target, 3 unparsable, 2 non finite feature; "
    "see the quarantine table",
}


def hostile_fleet(**changes):
    content = {
        "name": "hostile",
        "task": "forecast",
        "source": {"path": "in"},
        "segment_by": ["shop", "item"],
        "time": {"column": "day", "frequency": "D", "zone": "Europe/Berlin"},
        "target": {"column": "units"},
        "features": {"known": ["price"], "categorical": ["kind"]},
        "horizon": 3,
        "candidates": ["seasonal_naive", "ses", "ridge"],
        "fallback": [{"parent": "item"}, "global"],
        "partition": {"buckets": 3, "min_rows": 20},
        "backtest": {"folds": 2},
        "gates": {"baseline_tolerance": 10.0, "max_failed_share": 1.0},
        "score": {"source": {"path": "future"}},
    }
    return parse_fleet(content | changes, "tests/hostile.yaml")


def write_hostile(folder):
    """Write the raw files below `folder`; how many rows they have, and how many of them each reason must reject."""
    (folder / "in/deep").mkdir(parents=True)
    rows, (bad, reasons) = _rows(), _bad_lines()
    # With a mark of byte order; the last line has no end.
    text = HEADER + "".join(map(_line, rows)) + "".join(bad)
    (folder / "in/a.csv").write_bytes(b"\xef\xbb\xbf" + text.rstrip("\n").encode())
    # Windows line ends.
    again = (HEADER + "".join(map(_line, _series(REPEATED)))).replace("\n", "\r\n")
    (folder / "in/deep/again.csv.gz").write_bytes(gzip.compress(again.encode()))
    other = "".join(f"{units},?,{day},,{item},{shop},{kind}\n" for shop, item, day, units, _, kind in _series(UNPRICED))
    (folder / "in/other.csv").write_text(f"units,more,day,price,item,shop,kind\n{other}")
    pq.write_table(_typed(), folder / "in/typed.parquet")
    _write_refused(folder / "in")
    return len(rows) + len(bad) + 3 * DAYS, reasons


def _write_refused(folder):
    whole = (folder / "typed.parquet").read_bytes()
    (folder / "cut.parquet").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.csv").touch()
    (folder / "lacks.csv").write_text("shop,item,day\n1,a,2024-01-01\n")
    (folder / "latin.csv").write_bytes((HEADER + "Köln,x,2024-01-01,1,1,\n").encode("latin-1"))
    (folder / "twice.csv").write_text("shop,item,day,units,units,price,kind\n1,a,2024-01-01,1,1,1,\n")
    (folder / "unknown.xyz").write_text("what?\n")
    (folder / "zcopy.csv").write_bytes((folder / "other.csv").read_bytes())
    # Neither refused nor read: nothing in it, hidden, links in a circle.
    (folder / "header.csv").write_text(HEADER)
    (folder / ".hidden.csv").write_text("never looked at")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.csv").symlink_to(folder / "nowhere.csv")


def write_future(folder):
    """Covariates of the next days: of a known segment, of one never seen and one that vanished; a kind never seen."""
    days = [str(FIRST + DAYS + step) for step in range(3)]
    rows = [(*pair, day, "", 1.5, "hail") for pair in (PLAIN, UNSEEN, NO_TARGET) for day in days]
    (folder / "future").mkdir()
    (folder / "future/f.csv").write_text(HEADER + "".join(map(_line, rows)) + "new,a,never,,1,\n")


def _line(row):
    return ",".join('"' + str(value).replace('"', '""') + '"' for value in row) + "\n"


def _series(pair, count=DAYS, first=FIRST):
    """Rows of a segment: weekly seasonal, noisy, positive."""
    random = np.random.default_rng(zlib.crc32(key(pair).encode()))
    units = np.round(50 * (1 + 0.3 * np.sin(np.arange(count))) * random.lognormal(0, 0.05, count), 3)
    return [(*pair, str(first + n), units[n], 1 + n % 3, ("sun", "rain")[n % 2]) for n in range(count)]


def _with_units(pair, units):
    return [(*row[:3], units(n), *row[4:]) for n, row in enumerate(_series(pair))]


def _rows():
    """Rows without a fault of their own; two of them repeat a period."""
    rows = [row for pair in (*NAMED, REPEATED) for row in _series(pair)]
    rows += [(*row[:3], 999, *row[4:]) for row in rows[:2]]
    rows += _with_units(CONSTANT, lambda n: 7) + _with_units(ZERO, lambda n: 0)
    rows += _with_units(EXTREME, lambda n: 3.3e38 * (-1) ** n)
    rows += _series(ENDED, first=FIRST - 2000) + _series(OLD, first=np.datetime64("1899-12-01"))
    rows += _series(UNSORTED)[::-1] + _series(ONE, 1) + _series(SHORT, 5)
    # With an offset, as plain text at an hour that clocks skip once, as a date: all of the day in the fleet's zone.
    moments = ("T12:30:00-01:00", "T02:30", "")
    return rows + [(*row[:2], row[2] + moments[n % 3], *row[3:]) for n, row in enumerate(_series(OFFSETS))]


def _bad_lines():
    """Lines that are rejected, and how many a reason."""
    day = str(FIRST)
    lines = [_line((*NO_TARGET, str(FIRST + n), ("", "NA", "nan")[n % 3], 1, "sun")) for n in range(12)]
    lines += [_line((*MESSY, day, value, 1, "sun")) for value in ("1e400", "inf", "1e39", "abc", "1,5")]
    lines += [_line((*MESSY, day, 1, value, "sun")) for value in ("inf", "-1e999")]
    lines += [_line((*MESSY, "9999-12-31", 1, 1, "sun"))]
    lines += [_line((*ONE, value, 1, 1, "sun")) for value in ("1700000000", "31.12.2024", "0000-00-00", "soon")]
    lines += [_line(("", "x", day, 1, 1, "")), _line(("  ", "x", day, 1, 1, "")), _line((*ONE, "", 1, 1, ""))]
    lines += ["one,x\n", "one,x,2024-01-01,1,1,sun,more\n"]
    reasons = Counter(null_target=12, non_finite_target=3, non_finite_feature=2, unparsable=3 + 4 + 2, missing_key=3)
    return lines, reasons + Counter(duplicate=DAYS + 2)


def _typed():
    rows = _series(TYPED)
    columns = {
        "shop": pa.array([77] * DAYS),
        "item": pa.array([row[1] for row in rows]).dictionary_encode(),
        "day": pa.array([row[2] for row in rows]).cast(pa.timestamp("ns")),
        "units": pa.array([row[3] for row in rows]),
        "price": pa.array([row[4] for row in rows], pa.int8()),
        "kind": pa.array([row[5] for row in rows], pa.large_string()),
        "nested": pa.array([[1]] * DAYS),
    }
    return pa.table(columns)
