"""Prefect: deployments, flow runs, a server for this machine, and warm processes for runs.

Nothing is imported here: commands that only look use parts of this package, and must not wait for Prefect.
"""
