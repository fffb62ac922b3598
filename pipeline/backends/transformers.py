"""Ask a causal language model in this process: text, or label distributions read from its logits.

What prompts share is computed once and kept as a key-value cache.
Shape key: N prompts of a batch, T tokens, V vocabulary, L labels.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import logging as transformers_logging

from scrutable.pipeline.asking import paid_once
from scrutable.pipeline.encoding import Encoded, Encoder, check_spelling
from scrutable.pipeline.logits import logits_of
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Prompt

_LOGIT_ROWS = 256  # rows of (V,) logits held at a time: 150k entries x 256 rows x 4 bytes = 155 MB
_KEPT_PREFIXES = 4


class TransformersBackend:
    """A local causal language model behind the `Ask` door."""

    def __init__(self, path: str, *, name: str, placement: Placement, batch_size: int = 16) -> None:
        self.name = name
        self.placement = placement
        self._batch_size = batch_size
        transformers_logging.disable_progress_bar()
        self._tokenizer = AutoTokenizer.from_pretrained(path)
        dtype = getattr(torch, placement.dtype)
        self._model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype).eval().to(placement.device)
        self._device = torch.device(placement.device)
        self._limit: int = self._model.config.max_position_embeddings
        # padding between a text and its continuation would take up room in a sliding window
        self._needs_equal_lengths = getattr(self._model.config, "sliding_window", None) is not None
        self._prefixes: dict[tuple[tuple[int, ...], ...], Any] = {}
        self._encoder = Encoder(self._tokenizer, name=name)

    def in_batches_of(self, size: int) -> TransformersBackend:
        """The same loaded model, answering `size` prompts at a time."""
        other = copy.copy(self)
        other._batch_size = size
        return other

    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Tokens of each prompt, shared parts included; asks nothing of the model."""
        return [encoded.n_tokens for encoded in self._encoder.encode(prompts)]

    def __call__(self, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        """Answers a batch; equal prompts have one answer, which is computed and paid for once.

        Raises CapabilityError for labels that are not single tokens.
        """
        different = list(dict.fromkeys(prompts))
        found = dict(zip(different, self._answers(different), strict=True))
        return paid_once(prompts, found)

    def _answers(self, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        answers: list[Completion | CallFailure | None] = [None] * len(prompts)
        for batch in self._batches(prompts, answers):
            read = prompts[batch[0].number].read
            if isinstance(read, Generate):
                found = self._generate(batch, read)
            elif batch[0].endings:
                found = self._read_endings(batch)
            else:
                found = self._read_labels(batch, self._encoder.labels_of(read))
            for encoded, answer in zip(batch, found, strict=True):
                answers[encoded.number] = answer
        missing = [number for number, answer in enumerate(answers) if answer is None]
        assert not missing, f"prompts {missing} got no answer"
        return [answer for answer in answers if answer is not None]

    def _batches(
        self, prompts: Sequence[Prompt], answers: list[Completion | CallFailure | None]
    ) -> Iterator[list[Encoded]]:
        """Prompts that share their prefix and reading, alike in length; too long ones are answered."""
        groups: dict[Any, list[Encoded]] = {}
        for encoded in self._encoder.encode(prompts):
            read = prompts[encoded.number].read
            if failure := encoded.too_long(read, limit=self._limit, name=self.name, least=0):
                answers[encoded.number] = failure
                continue
            if not encoded.ids or encoded.reads[:1] == (-1,):
                answers[encoded.number] = CallFailure("malformed", "no token stands before the first reading")
                continue
            key: Any
            if isinstance(read, Generate):
                key = (read, len(encoded.ids) if self._needs_equal_lengths else 0)
            else:
                key = True if encoded.endings else read.labels  # each prompt has endings of its own
            groups.setdefault((encoded.shared, key), []).append(encoded)
        for group in groups.values():
            ordered = sorted(group, key=lambda e: (len(e.ids), e.number))
            for start in range(0, len(ordered), self._batch_size):
                yield ordered[start : start + self._batch_size]

    @torch.inference_mode()
    def _read_labels(self, batch: Sequence[Encoded], labels: Sequence[int]) -> list[Completion]:
        cache, n_shared, computed = self._prefix(batch[0].shared)
        ids_NT, _ = self._padded(batch)
        if cache is not None:
            cache.batch_repeat_interleave(len(batch))
        hidden = self._model.base_model(
            input_ids=ids_NT, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        rows = [(row, read) for row, encoded in enumerate(batch) for read in encoded.reads]
        index = torch.tensor(rows, device=self._device).reshape(-1, 2)
        logprobs = self._label_logprobs(hidden[index[:, 0], index[:, 1]], labels)
        answers, start = [], 0
        for row, encoded in enumerate(batch):
            stop = start + len(encoded.reads)
            cost = Cost(
                prompt_tokens=n_shared + len(encoded.ids),
                computed_tokens=len(encoded.ids) + (computed if row == 0 else 0),
            )
            read = tuple(tuple(values) for values in logprobs[start:stop].tolist())
            answers.append(Completion(label_logprobs=read, cost=cost))
            start = stop
        return answers

    @torch.inference_mode()
    def _read_endings(self, batch: Sequence[Encoded]) -> list[Completion]:
        """The likelihood of each ending of each prompt as a sequence, all in one padded forward pass."""
        cache, n_shared, computed = self._prefix(batch[0].shared)
        rows = [(encoded, ending) for encoded in batch for ending in encoded.endings]
        ids_NT, _ = self._padded([encoded._replace(ids=(*encoded.ids, *end)) for encoded, end in rows])
        if cache is not None:
            cache.batch_repeat_interleave(len(rows))
        hidden = self._model.base_model(
            input_ids=ids_NT, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        where = torch.tensor(
            [
                (row, len(encoded.ids) - 1 + t)
                for row, (encoded, end) in enumerate(rows)
                for t in range(len(end))
            ],
            device=self._device,
        )
        tokens = torch.tensor([token for _, end in rows for token in end], device=self._device)
        each = self._token_logprobs(hidden[where[:, 0], where[:, 1]], tokens)
        sums = torch.zeros(len(rows)).index_add_(0, where[:, 0].cpu(), each.cpu()).tolist()
        answers, start = [], 0
        for row, encoded in enumerate(batch):
            stop = start + len(encoded.endings)
            own = sum(len(encoded.ids) + len(end) for end in encoded.endings)
            cost = Cost(
                prompt_tokens=n_shared + len(encoded.ids), computed_tokens=own + (computed if row == 0 else 0)
            )
            answers.append(Completion(label_logprobs=(tuple(sums[start:stop]),), cost=cost))
            start = stop
        return answers

    def _token_logprobs(self, hidden_RD: torch.Tensor, tokens_R: torch.Tensor) -> torch.Tensor:
        """(R,) natural-log probability of one token after each hidden state."""
        parts = []
        for chunk, wanted in zip(
            torch.split(hidden_RD, _LOGIT_ROWS), torch.split(tokens_R, _LOGIT_ROWS), strict=True
        ):
            logits = self._logits(chunk)
            parts.append(logits.gather(-1, wanted[:, None])[:, 0] - logits.logsumexp(-1))
        return torch.cat(parts)

    def _label_logprobs(self, hidden_RD: torch.Tensor, labels: Sequence[int]) -> torch.Tensor:
        """(R, L) natural-log probabilities among the whole vocabulary."""
        index = torch.tensor(list(labels), device=self._device)
        parts = []
        for chunk in torch.split(hidden_RD, _LOGIT_ROWS):
            logits = self._logits(chunk)
            parts.append(logits[:, index] - logits.logsumexp(-1, keepdim=True))
        return torch.cat(parts) if parts else torch.zeros(0, len(labels))

    def _logits(self, hidden_RD: torch.Tensor) -> torch.Tensor:
        """(R, V) as the model itself makes them of its last hidden states."""
        logits: torch.Tensor = logits_of(self._model, hidden_RD)
        return logits

    @torch.inference_mode()
    def _generate(self, batch: Sequence[Encoded], read: Generate) -> list[Completion]:
        """Batched decoding; texts are padded on the right, and padding is masked for ever after."""
        cache, n_shared, computed = self._prefix(batch[0].shared)
        ids_NT, lengths = self._padded(batch)
        n = len(batch)
        if cache is not None:
            cache.batch_repeat_interleave(n)
        else:
            cache = DynamicCache()
        real = torch.arange(ids_NT.shape[1], device=self._device) < lengths[:, None]
        mask = torch.cat([torch.ones(n, n_shared, device=self._device), real.float()], dim=1).long()
        out = self._model.base_model(
            input_ids=ids_NT,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            position_ids=n_shared + torch.arange(ids_NT.shape[1], device=self._device).expand(n, -1),
        )
        hidden = out.last_hidden_state[torch.arange(n), lengths - 1]
        generators = [self._generator(encoded, read.seed) for encoded in batch]
        drawn = self._decode(hidden, cache, mask, n_shared + lengths, read, generators)
        answers = []
        for row, (encoded, (tokens, has_ended)) in enumerate(zip(batch, drawn, strict=True)):
            cost = Cost(
                prompt_tokens=n_shared + len(encoded.ids),
                computed_tokens=len(encoded.ids) + (computed if row == 0 else 0),
                generated_tokens=len(tokens),
            )
            text = self._until_stop(tokens, read.stop)[0]
            answers.append(Completion(text=text, cost=cost, stopped="stop" if has_ended else "length"))
        return answers

    def _decode(
        self,
        hidden_ND: torch.Tensor,
        cache: Any,
        mask: torch.Tensor,
        positions: torch.Tensor,
        read: Generate,
        generators: Sequence[torch.Generator],
    ) -> list[tuple[list[int], bool]]:
        """The tokens of each row, and whether it ended by itself within `read.max_tokens`."""
        n = len(hidden_ND)
        drawn: list[list[int]] = [[] for _ in range(n)]
        is_open = [True] * n
        ends = self._end_ids()
        for step in range(read.max_tokens):
            logits = self._logits(hidden_ND)
            token_N = _draw(logits, read.temperature, generators)
            for row, token in enumerate(token_N.tolist()):
                if is_open[row] and token in ends:
                    is_open[row] = False
                elif is_open[row]:
                    drawn[row].append(token)
                    is_open[row] = not self._until_stop(drawn[row], read.stop)[1]
            if not any(is_open) or step + 1 == read.max_tokens:
                break
            mask = torch.cat([mask, mask.new_ones(n, 1)], dim=1)
            out = self._model.base_model(
                input_ids=token_N[:, None],
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                position_ids=positions[:, None],
            )
            positions = positions + 1
            hidden_ND = out.last_hidden_state[:, -1]
        return [(tokens, not still_open) for tokens, still_open in zip(drawn, is_open, strict=True)]

    def _generator(self, encoded: Encoded, seed: int) -> torch.Generator:
        """Its own for each prompt, so that what is drawn does not depend on the rest of the batch."""
        tokens = (*chain.from_iterable(encoded.shared), *encoded.ids)
        mixed = zlib.crc32(repr((seed, tokens)).encode())
        return torch.Generator(device=self._device).manual_seed(mixed)

    def _until_stop(self, tokens: Sequence[int], stops: Sequence[str]) -> tuple[str, bool]:
        """The text up to the first stop string, and whether there is one."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        cuts = [text.index(stop) for stop in stops if stop in text]
        return (text[: min(cuts)], True) if cuts else (text, False)

    def _end_ids(self) -> set[int]:
        configured = self._model.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        return {end for end in [*ends, self._tokenizer.eos_token_id] if end is not None}

    def _padded(self, batch: Sequence[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
        lengths = torch.tensor([len(encoded.ids) for encoded in batch])
        ids = torch.zeros(len(batch), int(lengths.max()), dtype=torch.long)
        for row, encoded in enumerate(batch):
            ids[row, : len(encoded.ids)] = torch.tensor(encoded.ids)
        return ids.to(self._device), lengths.to(self._device)

    def _prefix(self, shared: tuple[tuple[int, ...], ...]) -> tuple[Any, int, int]:
        """A private copy of the cache of the shared parts, its length, and tokens computed for it."""
        if not shared:
            return None, 0, 0
        computed = 0
        cache: Any = DynamicCache()
        for n_parts, part in enumerate(shared, 1):
            whole = shared[:n_parts]  # split as it was computed: the last bits depend on that
            if whole in self._prefixes:
                self._prefixes[whole] = self._prefixes.pop(whole)  # most recently used last
            else:
                cache = copy.deepcopy(cache)
                ids = torch.tensor([part], device=self._device)
                self._model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
                computed += len(part)
                self._prefixes[whole] = cache
                while len(self._prefixes) > _KEPT_PREFIXES:
                    del self._prefixes[next(iter(self._prefixes))]
            cache = self._prefixes[whole]
        return copy.deepcopy(cache), sum(map(len, shared)), computed


def check_prompt(path: str, *, name: str, labels: Sequence[str], is_chat: bool) -> None:
    """Raises CapabilityError unless the model can be asked so; loads the tokenizer only."""
    check_spelling(AutoTokenizer.from_pretrained(path), name=name, labels=labels, is_chat=is_chat)


def has_chat_template(path: str) -> bool:
    """Whether a model can be sent messages; loads the tokenizer only."""
    return bool(AutoTokenizer.from_pretrained(path).chat_template)


def _draw(logits_NV: torch.Tensor, temperature: float, generators: Sequence[torch.Generator]) -> torch.Tensor:
    if temperature == 0:
        return logits_NV.argmax(-1)
    p_NV = (logits_NV / temperature).softmax(-1)
    drawn = [torch.multinomial(p, 1, generator=g) for p, g in zip(p_NV, generators, strict=True)]
    return torch.cat(drawn)
