"""Measure joblib over segments: seconds per repetition, as JSON. python run_joblib.py ROWS.parquet REPETITIONS"""

import json
import sys
import time

import joblib
import pandas as pd

from ridge import fit_segment  # isort: skip - beside this file


def main(path: str, repetitions: int) -> None:
    rows = pd.read_parquet(path)
    frames = [frame for _, frame in rows.groupby("segment", sort=False)]
    with joblib.Parallel(n_jobs=2, batch_size=25) as pool:
        pool(joblib.delayed(fit_segment)(frame) for frame in frames[:50])
        seconds = []
        for _ in range(repetitions):
            began = time.perf_counter()
            done = len(pool(joblib.delayed(fit_segment)(frame) for frame in frames))
            seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "models": done}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
