"""Measure Ray over segments: seconds per repetition, as JSON. python run_ray.py ROWS.parquet REPETITIONS"""

import json
import os
import sys
import time

import pandas as pd
import ray

from ridge import fit_segment  # isort: skip - beside this file


def main(path: str, repetitions: int) -> None:
    rows = pd.read_parquet(path)
    frames = [frame for _, frame in rows.groupby("segment", sort=False)]
    chunks = [frames[start : start + 25] for start in range(0, len(frames), 25)]
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", _temp_dir=os.environ.get("RAY_TMPDIR"))

    @ray.remote
    def work(chunk: list[pd.DataFrame]) -> int:
        return len([fit_segment(frame) for frame in chunk])

    ray.get([work.remote(chunk) for chunk in chunks[:2]])
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        done = sum(ray.get([work.remote(chunk) for chunk in chunks]))
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "models": done}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
