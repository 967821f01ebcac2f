"""What the scheduler holds is small, however large the fleet is: tasks are buckets, and their results are receipts."""

import cloudpickle
import pandas as pd
import pytest
from shop import open_run, sales, shop

from adapters.compute.dask import InlineWorkers
from adapters.registry import Registry
from domain.errors import TrainingError
from tasks.accuracy import measure_accuracy
from tasks.ingest import ingest_files
from tasks.partition import partition_observations
from tasks.promote import promote_challengers
from tasks.register import register_challengers
from tasks.score import score_fleet
from tasks.train import train_challengers

MOST_BYTES = 10_000
SEGMENTS = 600


class Weighing(InlineWorkers):
    """Notes how large items and results are, pickled, by stage."""

    def __init__(self):
        self.items, self.results = {}, {}

    def map(self, stage, function, items, retries=2, before=0, weight=None):
        results = super().map(stage, function, items, retries, before, weight)
        self.items.setdefault(stage, []).extend(map(_size, items))
        self.results.setdefault(stage, []).extend(map(_size, results))
        return results


def _size(what):
    return len(cloudpickle.dumps(what))


@pytest.fixture(scope="module")
def frame():
    """Some hundred segments: all in a bucket or two, with names and quarantined rows of all kinds."""
    plain = sales(weeks=24)
    one = plain[(plain.store == 1) & (plain.brand == "amber")]
    copies = [one.assign(store=f"branch with a long name, number {number:04}") for number in range(SEGMENTS)]
    found = pd.concat(copies)
    found.loc[found.week == found.week.max(), "units"] = -1  # Rejected, one row a segment.
    return found


@pytest.mark.parametrize("broken", [False, True])
def test_receipts_are_small_however_many_segments_a_bucket_has(broken, frame, tmp_path):
    for name in ("sales", "future"):
        (tmp_path / name).mkdir()
    frame.to_csv(tmp_path / "sales" / "a.csv", index=False)
    frame.drop(columns="units").to_csv(tmp_path / "future" / "a.csv", index=False)
    candidates = [{"name": "broken", "estimator": "shop.Broken"}] if broken else ["seasonal_naive"]
    fleet = shop(candidates=candidates, partition={"buckets": 1, "min_rows": 5}, max_failed_share=0.5)
    workers = Weighing()
    run = open_run(tmp_path, workers, fleet=fleet)
    ingest_files(run, "observations", fleet.source)
    partition_observations(run)
    if broken:
        with pytest.raises(TrainingError):
            train_challengers(run)
    else:
        train_challengers(run)
        registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "artifacts"))
        register_challengers(run, registry)
        promote_challengers(run)
        ingest_files(run, "requests", fleet.score.source)
    score_fleet(run)
    measure_accuracy(run)
    stages = {"ingest", "partition", "train", "score"} | (set() if broken else {"promote"})
    assert stages <= workers.results.keys()
    largest = {stage: max(sizes, default=0) for stage, sizes in workers.results.items()}
    assert max(largest.values()) <= MOST_BYTES, largest
    given = {stage: max(sizes, default=0) for stage, sizes in workers.items.items()}
    assert max(given.values()) <= MOST_BYTES, given
