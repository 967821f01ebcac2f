"""What runs on Dask workers: one function a stage, called once a file or bucket.

Nothing here imports Prefect, so that workers start fast. Each function reads, calls `models`, stages files and returns
a small receipt; the coordinating task commits.
"""
