"""`python -m pixtell`: the same as the command `pixtell`, for where its script is not on the path."""

from pixtell.cli.main import run

if __name__ == "__main__":
    run()
