"""How much work the stages say that a bucket is: the workers begin with the heaviest."""

from collections import Counter

import pytest
from shop import future, open_run, sales, shop

from adapters.compute.dask import InlineWorkers
from domain.data.segments import FALLBACK_BUCKET, bucket_of, hash_segments
from domain.data.tables import SEGMENTS
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.score import score_fleet
from tasks.train import train_challengers
from tasks.workers import bucket_reader

BUCKETS = 40


class Weighing:
    """Workers that keep what they are told of each item, by stage."""

    def __init__(self):
        self.told = {}

    def map(self, stage, function, items, retries=2, before=0, weight=None):
        self.told[stage] = [(item, weight(item)) for item in items] if weight else None
        return InlineWorkers().map(stage, function, items, retries, before, weight)


@pytest.fixture
def told(tmp_path):
    for name, frame in (("sales", sales()), ("future", future())):
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "a.csv", index=False)
    run = open_run(tmp_path, Weighing(), fleet=shop(partition={"buckets": BUCKETS, "min_rows": 20}))
    ingest_files(run, "observations", run.fleet.source)
    partition_observations(run)
    train_challengers(run)
    ingest_files(run, "requests", run.fleet.score.source)
    score_fleet(run)
    rows = {row["segment"]: row["rows"] for row in run.table(SEGMENTS).read().to_pylist()}
    return run.workers.told, rows


def by_bucket(rows):
    found = Counter()
    for segment, count in rows.items():
        found[int(bucket_of(hash_segments([segment]), BUCKETS)[0])] += count
    return found


def test_a_span_of_buckets_weighs_its_landed_rows(told):
    weights, rows = told[0]["partition"], by_bucket(told[1])
    assert [len(span) for span, _ in weights] != [1] * BUCKETS, "every span is one bucket: the test shows nothing"
    assert weights == [(span, sum(rows[bucket] for bucket in span)) for span, _ in weights]
    assert sum(weight for _, weight in weights) == len(sales())


def test_a_bucket_weighs_the_rows_that_train_and_the_levels_those_of_their_segments(told):
    weights, rows = dict(told[0]["train"]), told[1]
    trained = by_bucket({segment: count for segment, count in rows.items() if count >= 20})
    # Every segment is in the level of its brand and in the global one.
    assert weights.pop(FALLBACK_BUCKET) == 2 * sum(rows.values())
    assert weights == dict(trained)


def test_a_bucket_weighs_its_observations_when_it_is_scored(told):
    weights, rows = dict(told[0]["score"]), by_bucket(told[1])
    assert weights == {bucket: rows[bucket] for bucket in range(BUCKETS)}


def test_buckets_whose_input_is_read_together_weigh_the_same(monkeypatch, request):
    monkeypatch.setattr(bucket_reader, "_SPAN_ROWS", 10)
    told, rows = request.getfixturevalue("told")
    weights, rows = dict(told["score"]), by_bucket(rows)
    spans = bucket_reader.spans(len(future()), BUCKETS)
    assert 1 < len(spans) < BUCKETS
    assert weights == {bucket: sum(rows[each] for each in span) for span in spans for bucket in span}
