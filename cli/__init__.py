"""The `myriad` command: parse arguments, run flows, print results."""
