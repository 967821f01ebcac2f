"""Prefect: deployments, flow runs, a local server, and warm processes for runs.

Nothing is imported here: commands that only read use parts of this package, and must not wait for Prefect's import.
"""
