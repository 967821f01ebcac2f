"""The part of each stage that runs on Dask workers: one function per stage, called once per file or bucket.

Nothing here imports Prefect, so that workers start fast. Each function reads, calls `models`, stages files and returns
a small receipt; the coordinating task commits.
"""
