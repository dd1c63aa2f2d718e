"""`python -m fewtune`."""

from fewtune.cli import main

main()
