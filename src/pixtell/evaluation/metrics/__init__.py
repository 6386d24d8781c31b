"""The metrics, one file each: texts in, a `Measure` out. No model and no torch here."""
