"""A sentence encoder: the mean of a small BERT's last hidden states (Reimers & Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import AutoModel

from scrutable.evaluators.trained.themes import Vectors

_BATCH = 256
_LONGEST = 64  # tokens


class SentenceEncoder:
    """all-MiniLM-L6-v2 and its kind, from a folder with config.json, tokenizer.json and weights."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.enable_padding()
        self._model = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> Vectors:
        """(N, D) vectors of length 1."""
        found = []
        for start in range(0, len(texts), _BATCH):
            rows = self._tokenizer.encode_batch(list(texts[start : start + _BATCH]))
            ids = torch.tensor([row.ids for row in rows])
            mask = torch.tensor([row.attention_mask for row in rows])
            hidden = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            weights = mask[:, :, None].to(hidden.dtype)
            means = (hidden * weights).sum(1) / weights.sum(1)
            found.append(torch.nn.functional.normalize(means, dim=-1).float().numpy())
        return np.concatenate(found) if found else np.zeros((0, 1), dtype=np.float32)
