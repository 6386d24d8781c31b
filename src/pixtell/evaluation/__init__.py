"""Evaluation: predictions are a file that a person can read, scoring is a second program over that file."""
