"""Folders, shards and tables -> rows on disk, resumable: inputs, decoding ahead, the model, a journal, outputs."""
