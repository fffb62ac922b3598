"""Turns a GGUF file into a clean safetensors folder, and asks the result a question.

transformers reads GGUF in tens of seconds and refuses to save what it read; converted once, the
folder loads in seconds, and vLLM reads it too. Knows nothing of caches, wheels or names.
"""

from __future__ import annotations

import errno
import io
import re
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Any

from scrutable.pipeline.errors import AssetError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTINUATION_TOKENS = 16


def convert_gguf(gguf: Path, into: Path) -> None:
    """Writes config, weights (bfloat16 safetensors) and tokenizer of `gguf` into the folder `into`.

    Raises:
        AssetError: the file is no GGUF, or of an architecture that transformers cannot read.
        OSError: the folder cannot be written, for example because the disk is full.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet():
        try:
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, local_files_only=True
            )
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True)
        except (ValueError, KeyError, TypeError, IndexError, OSError, RuntimeError) as error:
            # The GGUF reader has no error of its own: a damaged or foreign file ends as any of these.
            raise AssetError(
                f"{gguf}: transformers cannot read this GGUF file ({type(error).__name__}: "
                f"{_one_line(error)}). Give the safetensors folder of the model instead."
            ) from error
        try:
            _without_quantisation(model).save_pretrained(into)
            tokenizer.save_pretrained(into)
        except SafetensorError as error:
            raise _as_os_error(error, into) from error


def check_continuation(model_dir: Path, prompt: str, expected: str) -> str:
    """The greedy continuation of `prompt`, in which the regular expression `expected` is found.

    Runs in the dtype of the weights. Reading a prompt in bfloat16 is slow on many CPUs, but sixteen
    tokens are not, and float32 would take three times the memory (1.5B parameters: 11 GB).

    Raises:
        AssetError: the continuation does not hold what is expected, so the weights are not sane.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _quiet(), torch.inference_mode():
        model = AutoModelForCausalLM.from_pretrained(model_dir, dtype="auto", local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(model_dir, local_files_only=True)
        # Special tokens stay on: Gemma without its <bos> repeats itself whatever its weights are.
        inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
        ids = model.generate(**inputs, max_new_tokens=CONTINUATION_TOKENS, do_sample=False)
    text: str = tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    if re.search(expected, text) is None:
        raise AssetError(
            f"{model_dir.name}: the converted model continues {prompt!r} with {text!r}, where "
            f"{expected!r} was expected; the conversion by this transformers version is not sound. "
            "Use another version, or give the safetensors folder of the model."
        )
    return text


def _without_quantisation(model: Any) -> Any:
    """The same weights in a model that does not think that it is quantised."""
    import torch
    from transformers import AutoModelForCausalLM

    config = model.config
    for name in ("quantization_config", "_model_name_or_path"):  # the second: a title from the GGUF
        if hasattr(config, name):
            delattr(config, name)
    # On the meta device, and with assign: the weights are neither drawn at random nor held twice.
    with torch.device("meta"):
        clean = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    clean.load_state_dict(model.state_dict(), strict=True, assign=True)
    clean.tie_weights()
    clean.generation_config = model.generation_config
    return clean


@contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars and warnings of transformers, which is left as it was found."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):  # the GGUF reader's bar knows no other switch
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _as_os_error(error: Exception, into: Path) -> OSError:
    """What safetensors hides: its writer reports a full disk as text."""
    number = errno.ENOSPC if "os error 28" in str(error) else errno.EIO
    return OSError(number, _one_line(error), str(into))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
