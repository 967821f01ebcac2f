"""The gateway: HTTP addresses for batch scoring."""
