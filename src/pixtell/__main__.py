"""`python -m pixtell`: the same as the command `pixtell`, for where its script is not on the path."""

import sys

from pixtell.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
