"""Clients of the gateway: `Client` waits, `AsyncClient` is awaited; both make the same calls."""
