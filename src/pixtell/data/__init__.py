"""Rows on disk -> batches: the sources, the sequence a text becomes, the training views of a picture, the order."""
