"""Checkpoints: files on disk or on the hub <-> a `Checkpoint` in memory.

The door is `convert.py`: `load_checkpoint` finds out what it was given, `save_checkpoint` writes one.

    names.py         one table of tensor names and shapes: ours, the authors', transformers'
    state.py         a `Checkpoint`; strict comparison and translation of its tensors by that table
    weights.py       safetensors and PyTorch files, checked before a tensor is allocated
    hub_config.py    transformers' config.json and preprocessor_config.json <-> ModelConfig
    vocabulary.py    vocab.txt, or the vocabulary inside tokenizer.json
    native.py · authors.py · hub_layout.py     the three layouts, each read and written
    folder.py        files that appear whole or not at all
    hub.py           download through huggingface_hub
    verify.py        the published logits
"""
