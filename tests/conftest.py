"""What several test files need: a tiny model with random weights, photos, a clip, and the bundled model, if there."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from pixtell.checkpoint.convert import BUNDLED_FOLDER, save_checkpoint
from pixtell.checkpoint.state import Checkpoint, expected
from pixtell.config import ClipVitConfig, ModelConfig, PixelConfig, TextConfig

# An example may take as long as it needs: whoever else computes here is no fault of the code.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")

WORDS = "a the dog cat boy girl man ball snow grass water runs sits plays red blue two one on in what is who where"
TINY_VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS.split(), "yes", "no", "?", ".", "##s")
TINY = ModelConfig(
    ClipVitConfig(image_size=32, patch_size=16, width=32, layers=1, heads=2, mlp_width=48),
    TextConfig(
        vocab_size=len(TINY_VOCABULARY),
        width=32,
        layers=1,
        heads=2,
        mlp_width=48,
        max_positions=80,
        cls_id=TINY_VOCABULARY.index("[CLS]"),
        sep_id=TINY_VOCABULARY.index("[SEP]"),
        pad_id=TINY_VOCABULARY.index("[PAD]"),
    ),
    PixelConfig(size=32),
    frames=6,
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny clip model whose random weights make its texts depend on what it sees."""
    generator = torch.Generator().manual_seed(3)
    state = {name: torch.randn(shape, generator=generator) for name, shape in expected(TINY).items()}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return save_checkpoint(Checkpoint(TINY, state, TINY_VOCABULARY, "# Tiny\n"), folder)


@pytest.fixture(scope="session")
def bundled() -> str:
    """The bundled model's name, where it is there."""
    if not BUNDLED_FOLDER.is_dir():
        pytest.skip(f"the bundled model is not at {BUNDLED_FOLDER}")
    return BUNDLED_FOLDER.name


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three photos of noise, each another one."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(1)
    paths = [folder / f"photo{number}.png" for number in range(3)]
    for path in paths:
        Image.fromarray(generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 20 frames of noise."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    generator = np.random.default_rng(2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(generator.integers(0, 256, (48, 64, 3), dtype=np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
