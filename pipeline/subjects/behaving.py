"""A language model as the subject of behaviours: asked about inputs, and differentiated by their tokens.

Shape key: N inputs, T tokens, K outcomes, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from scrutable.pipeline.behaviours.definition import Definition, NextToken
from scrutable.pipeline.behaviours.protocols import Attribution, BehaviourServices
from scrutable.pipeline.behaviours.readouts import question, read_answer
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.placement import place
from scrutable.pipeline.records import CallFailure, Prompt, ReadChoice
from scrutable.pipeline.sections import ModelConfig

_MESSAGE = "\ue002"  # stands for the message while its frame is written; no text contains it


class BehavingModel:
    """Asks a model through its door; gradients come from the same weights, loaded beside it."""

    def __init__(self, name: str, config: ModelConfig, services: BehaviourServices) -> None:
        self.name = name
        self._config = config
        self._services = services

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the manifest says of the model."""
        return self._services.locate(self._config).provenance

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        """(N,) what the model does. Raises CapabilityError for labels that it cannot tell apart."""
        is_chat = self._services.is_chat(self._config)
        prompts = [question(definition, one, is_chat=is_chat) for one in inputs]
        answers = self._services.ask(self._config)(prompts)
        return [
            answer if isinstance(answer, CallFailure) else read_answer(definition, answer)
            for answer in answers
        ]

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        """(N,) gradient times input of each token of an input's text, for the log-odds of each outcome.

        Raises CapabilityError where the outcome is read from generated text, where labels share their first
        token, or where captum is not installed.
        """
        is_chat = self._services.is_chat(self._config)
        found: list[Attribution | CallFailure] = []
        for one in inputs:
            prompt = question(definition, one, is_chat=is_chat)
            if not isinstance(prompt.read, ReadChoice):
                raise CapabilityError(
                    f"behaviour {definition.name}: its outcome is read from text, which has no gradient"
                )
            found.append(self._gradient(definition, one, prompt, prompt.read.labels))
        return found

    def _gradient(
        self, definition: Definition, one: Input, prompt: Prompt, labels: Sequence[str]
    ) -> Attribution | CallFailure:
        import torch

        try:
            from captum.attr import InputXGradient
        except ImportError:
            raise CapabilityError(
                "captum is not installed: pip install 'scrutable[attribution]', or leave attribution out"
            ) from None
        spelt = self._spelt(prompt, one.text)
        if spelt is None:
            return CallFailure("malformed", "the prompt does not show the input as it is")
        model = self._loaded.model
        firsts = [self._loaded.ids(label)[0] for label in labels]
        if len(set(firsts)) < len(firsts):
            raise CapabilityError(f"behaviour {definition.name}: labels share their first token {labels}")
        ids = torch.tensor([spelt.ids], device=model.device)

        def log_odds(embedded: Any, outcome: int) -> Any:
            logs = model(inputs_embeds=embedded).logits[:, -1].float().log_softmax(-1)[:, firsts]
            if isinstance(definition.readout, NextToken):
                inside = logs.logsumexp(-1)
                outside = torch.log1p(-inside.exp().clamp(max=1 - 1e-6))
                return (inside - outside) / 2 * (1 if outcome == 0 else -1)
            return logs[:, outcome] - logs.mean(-1)

        embedded = model.get_input_embeddings()(ids).detach().requires_grad_()
        rows = [
            InputXGradient(log_odds).attribute(embedded, additional_forward_args=(k,))[0].sum(-1)
            for k in range(len(definition.outcomes))
        ]
        values = torch.stack(rows, dim=1).detach().double().cpu().numpy()[list(spelt.places)]
        return Attribution(spelt.pieces, np.asarray(values))

    def _spelt(self, prompt: Prompt, text: str) -> _Spelt | None:
        """The tokens of a prompt, and which of them spell the input's text."""
        before, after = self._loaded.frame if prompt.is_chat else ("", "")
        start = prompt.text.find(text)
        if start < 0 or prompt.shared:
            return None
        whole = before + prompt.text + after + prompt.reply_start
        start += len(before)
        stop = start + len(text)
        encoded = self._loaded.tokenizer(
            whole, add_special_tokens=not prompt.is_chat, return_offsets_mapping=True
        )
        places, cuts = [], []
        for place_, (low, high) in enumerate(encoded["offset_mapping"]):
            if high > start and low < stop and high > low:
                places.append(place_)
                cuts.append(min(max(high, start), stop))
        if not places:
            return None
        bounds = [start, *cuts[:-1], stop]
        pieces = tuple(whole[low:high] for low, high in itertools.pairwise(bounds))
        return _Spelt(tuple(encoded["input_ids"]), tuple(places), pieces)

    @cached_property
    def _loaded(self) -> _Loaded:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = self._services.locate(self._config).path
        device = place(device=self._config.device, dtype="float32").device
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval().to(device)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        return _Loaded(AutoTokenizer.from_pretrained(path), model)


class _Spelt(NamedTuple):
    """A prompt in tokens."""

    ids: tuple[int, ...]
    places: tuple[int, ...]  # (T,) of the tokens that spell the input
    pieces: tuple[str, ...]  # (T,) joined, they give the input


class _Loaded(NamedTuple):
    """Weights and tokenizer, for gradients."""

    tokenizer: Any
    model: Any

    def ids(self, text: str) -> list[int]:
        """Tokens of a text alone."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    @property
    def frame(self) -> tuple[str, str]:
        """What the chat template writes before and after a message."""
        message = [{"role": "user", "content": _MESSAGE}]
        whole: str = self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        before, _, after = whole.partition(_MESSAGE)
        return before, after
