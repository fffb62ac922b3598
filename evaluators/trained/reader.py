"""The network of a trained simulator: layers of a language model, an adapter, a head over levels.

It reads `Description: ... Text: ...` once, and says at every token how strongly a unit of that description
fires there: one model token for each token of the text. Shape key: N texts of a batch, S simulator tokens,
L levels, D width.
"""

from __future__ import annotations

import json
import warnings
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save
from transformers import AutoConfig, AutoModel, AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from scrutable.evaluators.trained.adapters import ADAPTER_FILE, PROMPT, SHAPE_FILE, Shape, read_shape
from scrutable.evaluators.trained.alignment import reading_places
from scrutable.evaluators.trained.objectives import SILENCE, log_probabilities
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.prompting import template
from scrutable.pipeline.records import Passage
from scrutable.pipeline.store import write_whole

_AT_ONCE_ON_CPU = 6  # texts of a training step that are read together: enough to fill two cores
_OVERLAP_OF_WINDOW = 4  # the part of a window that was read before, one in so many
_PRIOR = 3.0  # log-odds of silence in a head that has not learnt anything


class Encoded(NamedTuple):
    """One description and one text in tokens."""

    shared: tuple[int, ...]  # the description
    ids: tuple[int, ...]  # the text
    places: tuple[int, ...]  # (T,) index into `ids` at which each token of the passage is read

    def windows(self, room: int) -> list[Encoded]:
        """This text in windows of at most `room` tokens, at least 1, the whole of it where it fits.

        Each begins a quarter of a window before its first place, so that what is read there has something
        before it. The places of all windows, one after the other, are those of the text.
        """
        overlap = room // _OVERLAP_OF_WINDOW
        found, n_read, start = [], 0, 0
        while True:
            end = start + room
            stop = bisect_left(self.places, end) if end < len(self.ids) else len(self.places)
            places = tuple(place - start for place in self.places[n_read:stop])
            found.append(Encoded(self.shared, self.ids[start:end], places))
            if end >= len(self.ids):
                return found
            n_read, start = stop, end - overlap


class Reader(torch.nn.Module):
    """Base, adapter and head."""

    def __init__(self, path: str, shape: Shape, placement: Placement) -> None:
        """Raises ConfigError for a base that has fewer layers than the adapter needs."""
        super().__init__()
        transformers_logging.disable_progress_bar()
        config = AutoConfig.from_pretrained(path)
        if config.num_hidden_layers < shape.layers:
            raise ConfigError(
                f"simulator: {path} has {config.num_hidden_layers} layers, and the adapter of {shape.base} "
                f"needs {shape.layers}; give the model that it was trained on"
            )
        config.num_hidden_layers = shape.layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[: shape.layers]
        level = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()  # it would list the layers that are left out on purpose
        base = AutoModel.from_pretrained(
            path,
            config=config,
            dtype=getattr(torch, placement.dtype),
            attn_implementation="eager" if placement.device == "cpu" else "sdpa",  # faster on short texts
        )
        transformers_logging.set_verbosity(level)
        self.shape = shape
        self.dtype = getattr(torch, placement.dtype)
        self.device = torch.device(placement.device)
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        lora = LoraConfig(
            r=shape.rank,
            lora_alpha=shape.alpha,
            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        )
        with warnings.catch_warnings():  # of what peft asks transformers, which concerns no user of ours
            warnings.simplefilter("ignore", FutureWarning)
            self.body: Any = get_peft_model(base, lora)
        self.head = torch.nn.Linear(base.config.hidden_size, len(shape.levels))
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[SILENCE] = _PRIOR
        for name, parameter in self.body.named_parameters():
            if "lora_" in name:
                parameter.data = parameter.data.float()
        self.to(self.device)
        self._template = template(PROMPT)

    # -- tokens -------------------------------------------------------------------------------

    def encode(self, description: str, pieces: Sequence[str]) -> Encoded:
        """A description and a text, whose pieces are the subject's tokens."""
        shared, text = self._template.parts(explanation=description, passage=Passage("", tuple(pieces), 0))
        whole = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        starts = [start for start, _ in whole["offset_mapping"]]
        shift = len(text) - sum(map(len, pieces))
        places = reading_places(pieces, starts, shift=shift) if starts else []
        return Encoded(tuple(self._shared_ids(shared)), tuple(whole["input_ids"]), tuple(places))

    def _shared_ids(self, text: str) -> list[int]:
        lead = self.tokenizer("", add_special_tokens=True)["input_ids"]
        own = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [*lead, *own]

    # -- reading ------------------------------------------------------------------------------

    def forward(self, batch: Sequence[Encoded]) -> torch.Tensor:
        """(R, L) logits over levels at all places of all texts, one text after the other.

        Texts of like length are read together, so that little is computed on padding.
        """
        rows = [(*encoded.shared, *encoded.ids) for encoded in batch]
        by_length = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        at_once = _AT_ONCE_ON_CPU if self.device.type == "cpu" else len(rows)
        logits: dict[int, torch.Tensor] = {}
        for start in range(0, len(rows), at_once):
            group = by_length[start : start + at_once]
            texts = [batch[number] for number in group]
            hidden_NSD = self.body(
                input_ids=self._padded([rows[number] for number in group]), use_cache=False
            ).last_hidden_state
            found_RL = self._head_at(hidden_NSD, texts, [len(text.shared) for text in texts])
            logits |= zip(group, found_RL.split_with_sizes([len(text.places) for text in texts]), strict=True)
        return torch.cat([logits[number] for number in range(len(rows))])

    @torch.inference_mode()
    def read(self, batch: Sequence[Encoded]) -> torch.Tensor:
        """(R, L) probabilities of the levels, for texts with one description, which is computed once."""
        shared = batch[0].shared
        assert all(encoded.shared == shared for encoded in batch), "one description at a time"
        cache = DynamicCache()
        self.body(input_ids=torch.tensor([shared], device=self.device), past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(len(batch))
        ids_NS = self._padded([encoded.ids for encoded in batch])
        out = self.body(input_ids=ids_NS, past_key_values=cache, use_cache=True)
        logits = self._head_at(out.last_hidden_state, batch, [0] * len(batch))
        return log_probabilities(logits, self.shape.objective).exp()

    def distributions(self, batch: Sequence[Encoded]) -> list[NDArray[np.float64]]:
        """For each text the (T, L) probabilities of the levels, as `read` gives them."""
        p_RL = self.read(batch).double().cpu().numpy()
        return np.split(p_RL, np.cumsum([len(encoded.places) for encoded in batch])[:-1])

    def _head_at(
        self, hidden_NSD: torch.Tensor, batch: Sequence[Encoded], before: Sequence[int]
    ) -> torch.Tensor:
        index = torch.tensor(
            [
                (row, n_before + place)
                for row, (encoded, n_before) in enumerate(zip(batch, before, strict=True))
                for place in encoded.places
            ],
            dtype=torch.long,  # where nothing is read, too
            device=self.device,
        ).reshape(-1, 2)
        with torch.autocast(self.device.type, enabled=False):  # a head is cheap, and probabilities are small
            found: torch.Tensor = self.head(hidden_NSD[index[:, 0], index[:, 1]].float())
        return found

    def _padded(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """(N, S) padded on the right, where a causal reader never looks."""
        padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, ids in enumerate(rows):
            padded[row, : len(ids)] = torch.tensor(ids)
        return padded.to(self.device)

    # -- files --------------------------------------------------------------------------------

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """Adapter and head, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def save(self, folder: Path, *, dtype: torch.dtype = torch.bfloat16) -> None:
        """Adapter and head as one safetensors file, and their shape beside it."""
        tensors = get_peft_model_state_dict(self.body) | {
            "head.weight": self.head.weight,
            "head.bias": self.head.bias,
        }
        plain = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
        data, shape = save(plain), json.dumps(asdict(self.shape), indent=2) + "\n"
        write_whole(folder / ADAPTER_FILE, lambda path: path.write_bytes(data))
        write_whole(folder / SHAPE_FILE, lambda path: path.write_text(shape, encoding="utf-8"))

    def merge(self) -> None:
        """Adds the adapter to the weights of the base: nothing is left to compute beside them."""
        self.body = self.body.merge_and_unload()

    @property
    def limit(self) -> int:
        """The most tokens that the base can read at once."""
        found: int = self.body.config.max_position_embeddings
        return found

    def load(self, folder: Path) -> None:
        """Takes adapter and head from a folder that `save` wrote."""
        tensors = {name: t.float() for name, t in load_file(folder / ADAPTER_FILE).items()}
        self.head.load_state_dict({"weight": tensors.pop("head.weight"), "bias": tensors.pop("head.bias")})
        set_peft_model_state_dict(self.body, tensors)


def n_layers(path: str) -> int:
    """How many layers the model in a folder has."""
    found: int = AutoConfig.from_pretrained(path).num_hidden_layers
    return found


def open_reader(path: str, folder: Path, placement: Placement) -> Reader:
    """A reader that is ready to read: the base model at `path` with the adapter in `folder`, merged."""
    reader = Reader(path, read_shape(folder), placement)
    reader.load(folder)
    reader.merge()
    return reader.eval()
