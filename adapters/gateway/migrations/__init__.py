"""Revisions of the gateway's schema, in versions/; see adapters/gateway/schema.py."""
