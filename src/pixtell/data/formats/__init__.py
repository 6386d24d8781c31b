"""Readers of data sets, a file for a format; what they share is in `entry.py`, `table.py` and `pictures.py`."""
