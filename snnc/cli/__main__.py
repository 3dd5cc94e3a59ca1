"""`python -m snnc.cli`."""

from snnc.cli import main

main()
