"""Measure Spark's applyInPandas over segments: seconds per repetition, as JSON.

python run_spark.py ROWS.parquet REPETITIONS
"""

import json
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

HERE = Path(__file__).parent


def main(path: str, repetitions: int) -> None:
    from ridge import fit_segment

    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.execution.arrow.pyspark.enabled", "true")
        .config("spark.driver.memory", "3g")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("OFF")
    spark.sparkContext.addPyFile(str(HERE / "ridge.py"))
    rows = spark.read.parquet(path).cache()
    grouped = rows.groupBy("segment").applyInPandas(fit_segment, "segment string, wape double")
    grouped.limit(1).collect()
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        done = len(grouped.collect())
        seconds.append(time.perf_counter() - began)
    print(json.dumps({"seconds": seconds, "models": done}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
