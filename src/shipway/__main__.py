"""`python -m shipway`, for where the console script is not on PATH."""

from shipway.cli import main

main()
