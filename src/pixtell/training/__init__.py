"""Batches -> better weights: the run file, the loss, two learning rates, the loop, and a state that survives."""
