"""The `myriad` command: parses arguments, runs flows, shows what came of them."""
