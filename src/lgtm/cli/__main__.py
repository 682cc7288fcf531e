"""python -m lgtm.cli, which is what the command `lgtm` runs."""

from lgtm.cli.app import main

main()
