"""`python -m cli` is the `myriad` command."""

from cli.main import main

main()
