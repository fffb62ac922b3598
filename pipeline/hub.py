"""Models from the Hugging Face hub, the last resort for a name: its own cache, else its network.

Its offline settings in the environment are respected; it is imported when it is asked, and not before.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

from scrutable.pipeline.asset_registry import did_you_mean, names
from scrutable.pipeline.errors import AssetError

_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


def hub_folder(hub_id: str) -> Path:
    """The folder of a model "org/name" in the hub's own cache, downloaded if need be.

    Raises:
        AssetError: it is no hub id, the hub does not give it, or it is no model of transformers.
    """
    if not re.fullmatch(r"\w[\w.-]*/[\w.-]+", hub_id) or hub_id.endswith(".gguf"):
        raise _no_model(hub_id, "no hub id of the form org/name.")
    from huggingface_hub import errors, snapshot_download

    http_error: Any = errors.HfHubHTTPError.__bases__[0]  # of whichever HTTP library the hub uses
    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=[*_FILES]))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(hub_id, allow_patterns=[*_FILES, "*.bin"]))
    except (OSError, ValueError, http_error) as error:
        reason = f"the hub did not give it ({type(error).__name__}): {_advice(error, errors)}"
        raise _no_model(hub_id, reason) from error
    if not (folder / "config.json").is_file():
        raise AssetError(f"The hub repository {hub_id!r} has no config.json: it is no transformers model.")
    return folder


def _no_model(name: str, reason: str) -> AssetError:
    return AssetError(
        f"No model {name!r}: it is no known name ({names('model')}), no folder or .gguf file here "
        f"({Path.cwd()}), and {reason}{did_you_mean(name.rpartition('/')[2], 'model')}"
    )


def _advice(error: BaseException, errors: Any) -> str:
    if isinstance(error, errors.GatedRepoError):
        return "accept its terms on its page there, then log in with `hf auth login`."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "there is no such public repository; check the id, or log in with `hf auth login`."
    if isinstance(error, errors.HFValidationError):
        return "this is not a valid id."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; make room, or set HF_HOME to a folder on another disk."
    return (
        "it cannot be reached, or HF_HUB_OFFLINE is set, and the model is not in its cache. "
        "Give a known name or a local folder."
    )
