"""Run the `myriad` command by `python -m cli`."""

from cli.main import main

main()
