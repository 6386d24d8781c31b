"""A name on the Hugging Face hub -> a local folder with just the files that are needed.

In: `owner/name`, perhaps a revision, a cache folder, and whether the network may be used. Out: the folder in
huggingface_hub's cache. Weights come as safetensors where the hub has them; only if it has none is the pickle
downloaded. Every way this fails is one line that says what to do.

The surprising thing: without a network huggingface_hub silently answers out of its cache, so a folder that lacks its
weights is possible, and is looked for here.
"""

from __future__ import annotations

from pathlib import Path

from pixtell.checkpoint.hub_layout import BIN, BIN_INDEX, SAFETENSORS, SAFETENSORS_INDEX
from pixtell.errors import CheckpointError

SMALL_FILES = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "README.md",
)
SAFE_WEIGHTS = (SAFETENSORS, SAFETENSORS_INDEX, "model-*-of-*.safetensors")
PICKLED_WEIGHTS = (BIN, BIN_INDEX, "pytorch_model-*-of-*.bin")


def download(
    name: str, *, revision: str | None = None, cache_dir: str | Path | None = None, offline: bool = False
) -> Path:
    """Fetch a model from the hub, or find it in the cache; returns its folder.

    `offline` (or the environment's HF_HUB_OFFLINE=1) reads the cache alone. Raises `CheckpointError` when the model,
    the revision, the permission or the network is missing.
    """
    from huggingface_hub import constants

    offline = offline or constants.HF_HUB_OFFLINE
    folder = _snapshot(name, (*SMALL_FILES, *SAFE_WEIGHTS), revision, cache_dir, offline)
    if folder is None or not _any(folder, SAFE_WEIGHTS):
        folder = _snapshot(name, (*SMALL_FILES, *PICKLED_WEIGHTS), revision, cache_dir, offline)
    if folder is None or not _any(folder, (*SAFE_WEIGHTS, *PICKLED_WEIGHTS)):
        raise CheckpointError(_absent(name, offline))
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{name}: has no config.json, so it is not a model for transformers")
    return folder


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(path.is_file() for pattern in patterns for path in folder.glob(pattern))


def _absent(name: str, offline: bool) -> str:
    if offline:
        return (
            f"{name}: not (wholly) in the local cache, and offline is on: run once without --offline (and without "
            f"HF_HUB_OFFLINE), or give the path of a folder that holds the model"
        )
    return (
        f"{name}: the hub can't be reached, and the local cache doesn't hold the model: check the network, or "
        f"download it elsewhere and give the path of its folder"
    )


def _snapshot(
    name: str, patterns: tuple[str, ...], revision: str | None, cache_dir: str | Path | None, offline: bool
) -> Path | None:
    """The folder with the files that match; None when the network is off or out of reach and the cache lacks them."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        return Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                local_files_only=offline,
                allow_patterns=list(patterns),
            )
        )
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{name}: its owner wants its terms accepted first: do so on its page on the hub, then run `hf auth login`"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{name}: no such folder here and no such model on the hub (or a private one: then run `hf auth login`)"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise CheckpointError(f"{name}: the hub's model has no revision {revision!r}") from error
    except errors.LocalEntryNotFoundError:
        return None
    except errors.HFValidationError as error:
        raise CheckpointError(f"{name}: neither a folder that exists nor a model's name on the hub") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", "an error")
        raise CheckpointError(f"{name}: the hub answered {status}; try again later") from error
    except Exception as error:  # whatever HTTP library this huggingface_hub is built on raises its own
        reason = str(error).strip().partition("\n")[0][:150] or type(error).__name__
        raise CheckpointError(f"{name}: the download failed ({reason}); what has arrived is kept, try again") from error
