"""Fixtures of the registry's tests."""

from registry_store import empty_store, opened

__all__ = ["empty_store", "opened"]
