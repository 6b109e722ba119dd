"""`python -m rbench` is the command `rbench`."""

from rbench.cli import main

main()
