"""A language model as the subject of behaviours: asked about inputs, and differentiated by their tokens.

Shape key: N inputs, T tokens, K outcomes, V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from scrutable.pipeline.behaviours.definition import Definition, NextToken
from scrutable.pipeline.behaviours.protocols import NO_CAPTUM, Attribution, BehaviourServices
from scrutable.pipeline.behaviours.readouts import question, read_answer
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.placement import place
from scrutable.pipeline.records import CallFailure, Prompt, ReadChoice
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.spelling import MARK, Frame, chat_frame, lead_ids, token_ids


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
            place_of = question(definition, replace(one, text=MARK), is_chat=is_chat).text.index(MARK)
            spelt = self._spelt(prompt, place_of, place_of + len(one.text))
            found.append(
                self._gradient(definition, spelt, prompt.read.labels)
                if spelt.pieces
                else CallFailure("malformed", "the input has no text")
            )
        return found

    def _gradient(self, definition: Definition, spelt: _Spelt, labels: Sequence[str]) -> Attribution:
        import torch

        try:
            from captum.attr import InputXGradient
        except ImportError:
            raise CapabilityError(NO_CAPTUM) from None
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
        values = torch.stack(rows, dim=1).detach().double().cpu().numpy()
        return Attribution(spelt.pieces, np.array([values[list(group)].sum(0) for group in spelt.places]))

    def _spelt(self, prompt: Prompt, start: int, stop: int) -> _Spelt:
        """The tokens of a prompt as the backend cuts it, and which spell its characters start to stop.

        What is spelt like a control token inside the prompt is plain text here as it is there.
        """
        loaded = self._loaded
        lead, after = loaded.frame if prompt.is_chat else (loaded.lead, ())
        encoded = loaded.tokenizer(
            prompt.text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        places: list[list[int]] = []
        cuts = [start]
        for place_, (low, high) in enumerate(encoded["offset_mapping"], len(lead)):
            if high <= start or low >= stop or high <= low:
                continue
            if places and min(high, stop) <= cuts[-1]:
                places[-1].append(place_)  # another byte of the same character
            else:
                places.append([place_])
                cuts.append(min(high, stop))
        cuts[-1] = stop if places else start
        ids = (
            *lead,
            *encoded["input_ids"],
            *after,
            *loaded.ids(prompt.reply_start),
        )
        pieces = tuple(prompt.text[low:high] for low, high in itertools.pairwise(cuts))
        return _Spelt(ids, tuple(map(tuple, places)), pieces)

    @cached_property
    def _loaded(self) -> _Loaded:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = self._services.locate(self._config).path
        device = place(device=self._config.device, dtype="float32").device
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval().to(device)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        return _Loaded(AutoTokenizer.from_pretrained(path), model, self.name)


class _Spelt(NamedTuple):
    """A prompt in tokens."""

    ids: tuple[int, ...]
    places: tuple[tuple[int, ...], ...]  # (T,) of the tokens that spell each piece: several for one character
    pieces: tuple[str, ...]  # (T,) none empty; joined, they give the input


class _Loaded(NamedTuple):
    """Weights and tokenizer, for gradients."""

    tokenizer: Any
    model: Any
    name: str

    def ids(self, text: str) -> tuple[int, ...]:
        """Tokens of a text alone."""
        return token_ids(self.tokenizer, text)

    @property
    def lead(self) -> tuple[int, ...]:
        """What comes before any completion."""
        return lead_ids(self.tokenizer)

    @property
    def frame(self) -> Frame:
        """What the chat template writes around a message."""
        return chat_frame(self.tokenizer, name=self.name)
