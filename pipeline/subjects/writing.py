"""A language model that wrote explanations, opened up: attribution, patching, activations while it writes.

Nodes are its MLP neurons at the input of the down projection, half-wave rectified as units are everywhere:
the two halves of a neuron are two nodes. What every job shares (few-shots) is computed once and kept as a
key-value cache: it is the same under both prompts, so nothing in it can carry content.
Shape key: S positions that are run for a task (its prompt and all of the reply but the last token), F neurons
of a layer, n nodes of a patch, B patches of a batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.logits import logits_of
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.protocols import Tokenized, Written
from scrutable.pipeline.recursion.protocols import Floats, NodePatch, Read, Screen, Site, Task
from scrutable.pipeline.spelling import Frame, chat_frame, lead_ids, token_ids
from scrutable.pipeline.subjects.neuron import NeuronSubject, changing, pieces_of

_TOGETHER = 8  # patches in one forward pass
_ATTENTION_OUTPUTS = ("o_proj",)


class _Half(NamedTuple):
    """Nodes of one layer that a patch holds: neurons, and where their values stand in the patch."""

    neurons: torch.Tensor  # (m,)
    columns: torch.Tensor  # (m,) of the patch


class _LayerPatch(NamedTuple):
    """What one patch does to one layer, by sign."""

    pos: _Half
    neg: _Half


class WritingModel:
    """A causal language model behind `recursion.protocols.Writer`."""

    def __init__(
        self,
        path: str,
        *,
        name: str,
        placement: Placement,
        random_seed: int | None = None,
        provenance: Mapping[str, Any],
    ) -> None:
        """Loads the model; with `random_seed`, only its shape, and initialises the weights anew.

        Raises CapabilityError for an architecture whose neurons cannot be read.
        """
        self.name = name
        self._subject = NeuronSubject(
            path, name=name, placement=placement, random_seed=random_seed, provenance=provenance
        )
        self._causal = self._subject.causal
        self._causal.requires_grad_(False)
        self._tokenizer = self._subject.tokenizer
        self._hooked = self._subject.hooked
        self._device = torch.device(placement.device)
        self._attention = [
            module
            for path, module in self._causal.base_model.named_modules()
            if path.rpartition(".")[2] in _ATTENTION_OUTPUTS
        ]
        self._prefix: tuple[tuple[int, ...], Any] | None = None
        self._under: tuple[Task, list[torch.Tensor]] | None = None
        self.parameters = sum(p.numel() for p in self._causal.parameters())
        self.provenance: Mapping[str, Any] = {**self._subject.provenance, "parameters": self.parameters}

    def unit_ids(self) -> list[str]:
        """Every node, by layer, then sign, then index."""
        return self._subject.unit_ids()

    # -- tokens -------------------------------------------------------------------------------

    def read(self, written: Written) -> Read:
        """The prompt in tokens, cut as the backend cuts it; a span takes the tokens that lie wholly in it."""
        prompt = written.prompt
        frame = Frame(lead_ids(self._tokenizer), ())
        if prompt.is_chat:
            frame = chat_frame(self._tokenizer, name=self.name)
        prefix = (*frame.before, *(id for part in prompt.shared for id in token_ids(self._tokenizer, part)))
        own = self._encoded(prompt.text)
        tail = (*frame.after, *token_ids(self._tokenizer, prompt.reply_start))
        pieces = pieces_of(prompt.text, [stop for _, stop in own.offsets])
        return Read(
            prefix=prefix,
            prefix_pieces=self._decoded(prefix),
            ids=(*own.ids, *tail),
            pieces=(*pieces, *self._decoded(tail)),
            spans=tuple(filter(None, (_inside(prompt.text, span, own.offsets) for span in written.spans))),
        )

    def tokens(self, text: str) -> Tokenized:
        """What the author wrote, as tokens of their own."""
        encoded = self._encoded(text)
        return Tokenized(encoded.ids, pieces_of(text, [stop for _, stop in encoded.offsets]))

    def _encoded(self, text: str) -> _Encoded:
        made = self._tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )
        return _Encoded(tuple(made["input_ids"]), tuple(map(tuple, made["offset_mapping"])))

    def _decoded(self, ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(self._tokenizer.batch_decode([[id] for id in ids])) if ids else ()

    # -- likelihoods --------------------------------------------------------------------------

    @torch.inference_mode()
    def likelihoods(self, task: Task, *, is_counterfactual: bool) -> NDArray[np.float64]:
        ids = task.counterfactual if is_counterfactual else task.prompt
        found: NDArray[np.float64] = self._reply(self._run(task, ids), task)[0].double().cpu().numpy()
        return found

    def _run(self, task: Task, ids: Sequence[int], *, rows: int = 1) -> torch.Tensor:
        """(B, S, D) last hidden states after the prefix."""
        inputs = torch.tensor([[*ids, *task.reply[:-1]]] * rows, device=self._device)
        return self._forward(task, input_ids=inputs)

    def _forward(self, task: Task, **inputs: torch.Tensor) -> torch.Tensor:
        rows = next(iter(inputs.values())).shape[0]
        cache = self._cache(task.prefix, rows)
        hidden: torch.Tensor = self._causal.base_model(
            **inputs, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state
        return hidden

    def _cache(self, prefix: tuple[int, ...], rows: int) -> Any:
        if not prefix:
            return None
        if self._prefix is None or self._prefix[0] != prefix:
            cache = DynamicCache()
            with torch.inference_mode(False), torch.no_grad():  # gradients are taken beside it later
                ids = torch.tensor([prefix], device=self._device)
                self._causal.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
            self._prefix = prefix, cache
        cache = copy.deepcopy(self._prefix[1])
        if rows > 1:
            cache.batch_repeat_interleave(rows)
        return cache

    def _reply(self, hidden: torch.Tensor, task: Task) -> torch.Tensor:
        """(B, R) log-probability of each token of the reply."""
        n = len(task.reply)
        logits = logits_of(self._causal, hidden[:, -n:])
        reply = torch.tensor(task.reply, device=self._device).expand(len(hidden), -1)
        found: torch.Tensor = logits.log_softmax(-1).gather(-1, reply[:, :, None])[:, :, 0]
        return found

    def _content(self, hidden: torch.Tensor, task: Task) -> torch.Tensor:
        """(B,) log-likelihood of the content tokens."""
        mask = torch.tensor(task.content, device=self._device)
        return self._reply(hidden, task)[:, mask].sum(-1)

    # -- attribution --------------------------------------------------------------------------

    def screen(self, task: Task) -> Screen:
        """Gradients of the likelihood at every node, times what patching would change: one pass each way."""
        clean, slopes, all_slopes = self._slopes(task, task.prompt)
        other, _, other_slopes = self._slopes(task, task.counterfactual)
        content, format = [], []
        for layer in range(len(self._hooked)):
            a, b = clean[layer], other[layer]
            for sign in (1.0, -1.0):
                x, y = (sign * a).clamp_min(0), (sign * b).clamp_min(0)
                content.append(-((y - x) * slopes[layer] * sign).sum(0))
                harms = [
                    -((half.mean(0) - half) * slope[layer] * sign).sum(0)
                    for half, slope in ((x, all_slopes), (y, other_slopes))
                ]
                format.append(torch.minimum(*harms))
        return Screen(*(torch.cat(part).float().cpu().numpy() for part in (content, format)))

    def _slopes(
        self, task: Task, ids: Sequence[int]
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Each (S, F) by layer: activations, and what they do to the content and to all of the reply."""
        kept: list[torch.Tensor] = []

        def keep(_layer: int, a: torch.Tensor) -> None:
            a.retain_grad()
            kept.append(a)

        inputs = torch.tensor([[*ids, *task.reply[:-1]]], device=self._device)
        # Weights are frozen, so it is from the embeddings that gradients have to be asked for.
        embedded = self._causal.get_input_embeddings()(inputs).detach().requires_grad_()
        with torch.enable_grad(), self._subject.reading(keep):
            each = self._reply(self._forward(task, inputs_embeds=embedded), task)[0]
            mask = torch.tensor(task.content, device=self._device)
            content = torch.autograd.grad(each[mask].sum(), kept, retain_graph=True)
            everything = torch.autograd.grad(each.sum(), kept)
        return [a.detach()[0] for a in kept], [g[0] for g in content], [g[0] for g in everything]

    # -- patching -----------------------------------------------------------------------------

    @torch.inference_mode()
    def patched(self, task: Task, patches: Sequence[NodePatch]) -> list[float]:
        other = self._counterfactual(task)
        found: list[float] = []
        for start in range(0, len(patches), _TOGETHER):
            some = patches[start : start + _TOGETHER]
            by_layer = self._by_layer(some)

            def change(
                layer: int,
                a: torch.Tensor,
                some: Sequence[NodePatch] = some,
                by_layer: Mapping[int, dict[int, _LayerPatch]] = by_layer,
            ) -> torch.Tensor:
                if layer not in by_layer:
                    return a
                a = a.clone()
                for row, halves in by_layer[layer].items():
                    _hold(a[row], halves, some[row].values, other[layer])
                return a

            with changing(self._hooked, change):
                found += self._content(self._run(task, task.prompt, rows=len(some)), task).tolist()
        return found

    @torch.inference_mode()
    def patched_site(self, task: Task, site: Site) -> float:
        at = torch.tensor(_positions(task, site), device=self._device)
        if site == "attention_exemplars":
            if not self._attention:
                return math.nan
            modules, other = self._attention, self._kept(task, self._attention)
        else:
            modules, other = self._hooked, self._counterfactual(task)

        def change(layer: int, a: torch.Tensor) -> torch.Tensor:
            a = a.clone()
            a[:, at] = other[layer][at]
            return a

        with changing(modules, change):
            return float(self._content(self._run(task, task.prompt), task)[0])

    def _counterfactual(self, task: Task) -> list[torch.Tensor]:
        """(S, F) of each layer under the counterfactual prompt; kept for the task that was asked last."""
        if self._under is None or self._under[0] != task:
            self._under = task, self._kept(task, self._hooked)
        return self._under[1]

    def _kept(self, task: Task, modules: Sequence[torch.nn.Module]) -> list[torch.Tensor]:
        kept: list[torch.Tensor] = []

        def keep(_layer: int, a: torch.Tensor) -> torch.Tensor:
            kept.append(a[0])
            return a

        with torch.inference_mode(), changing(modules, keep):
            self._run(task, task.counterfactual)
        return kept

    def _by_layer(self, patches: Sequence[NodePatch]) -> dict[int, dict[int, _LayerPatch]]:
        """Layer → row of the batch → what is held there."""
        width = np.array([2 * w for w in self._subject.widths])
        ends = np.cumsum(width)
        found: dict[int, dict[int, _LayerPatch]] = {}
        for row, patch in enumerate(patches):
            layers = np.searchsorted(ends, patch.nodes, side="right")
            for layer in np.unique(layers).tolist():
                columns = np.flatnonzero(layers == layer)
                local = patch.nodes[columns] - (ends[layer] - width[layer])
                is_neg = local >= self._subject.widths[layer]
                found.setdefault(layer, {})[row] = _LayerPatch(
                    *(
                        _Half(self._index(local[chosen] - shift), self._index(columns[chosen]))
                        for chosen, shift in ((~is_neg, 0), (is_neg, self._subject.widths[layer]))
                    )
                )
        return found

    def _index(self, numbers: NDArray[np.int64]) -> torch.Tensor:
        return torch.from_numpy(numbers.astype(np.int64)).to(self._device)

    # -- activations --------------------------------------------------------------------------

    @torch.inference_mode()
    def activations(self, task: Task, units: Sequence[str]) -> Floats:
        ids = (*task.prompt, *task.reply)
        inputs = torch.tensor([ids], device=self._device)
        found: Floats = self._subject.rectified(
            units, inputs.shape, lambda: self._forward(task, input_ids=inputs)
        )[0]
        return found

    @torch.inference_mode()
    def alone(self, texts: Sequence[Sequence[int]], units: Sequence[str]) -> Floats:
        lead = lead_ids(self._tokenizer)
        inputs = torch.tensor([[*lead, *ids] for ids in texts], device=self._device)
        run = self._causal.base_model
        shape = (len(texts), len(texts[0]))
        return self._subject.rectified(units, shape, lambda: run(input_ids=inputs, use_cache=False))


class _Encoded(NamedTuple):
    """A text in tokens and where each stands in it."""

    ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]


def _inside(text: str, span: tuple[int, int], offsets: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
    """The tokens that lie in a stretch of characters, which may begin with the space before it."""
    start, stop = span
    start -= start > 0 and text[start - 1] == " "
    places = [t for t, (a, b) in enumerate(offsets) if a >= start and b <= stop and b > a]
    return (places[0], places[-1] + 1) if places else None


def _positions(task: Task, site: Site) -> list[int]:
    """Places among the S positions."""
    exemplars = [t for start, stop in task.spans for t in range(start, stop)]
    if site in ("mlp_exemplars", "attention_exemplars"):
        return exemplars
    last = max(exemplars, default=-1)
    n_prompt = len(task.prompt)
    if site == "mlp_tail":
        return list(range(last + 1, n_prompt))
    return list(range(n_prompt, n_prompt + len(task.reply) - 1))


def _hold(a: torch.Tensor, halves: _LayerPatch, values: Floats | None, other: torch.Tensor) -> None:
    """Sets the held halves of (S, F) neurons in place; the other halves stay what they are."""
    neurons: torch.Tensor = torch.cat([halves.pos.neurons, halves.neg.neurons]).unique()  # type: ignore[no-untyped-call]
    if not len(neurons):
        return
    parts = {"pos": a[:, neurons].clamp_min(0), "neg": (-a[:, neurons]).clamp_min(0)}
    for name, half, sign in (("pos", halves.pos, 1.0), ("neg", halves.neg, -1.0)):
        if not len(half.neurons):
            continue
        at = torch.searchsorted(neurons, half.neurons)
        held = (sign * other[:, half.neurons]).clamp_min(0)
        if values is not None:
            given = torch.from_numpy(values).to(a.device, a.dtype)[:, half.columns]
            held = torch.where(given.isnan(), held, given)
        parts[name][:, at] = held
    a[:, neurons] = parts["pos"] - parts["neg"]


def check_traceable(path: str, *, name: str) -> None:
    """Raises CapabilityError for a model whose neurons cannot be read; builds its shape without weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path))
    names = [path.rpartition(".")[2] for path, _ in model.named_modules() if ".mlp." in path]
    if "down_proj" not in names and "c_proj" not in names:
        raise CapabilityError(
            f"{name}: no block of {type(model).__name__} holds mlp.down_proj or mlp.c_proj, so it cannot be "
            "looked into; list it under recursion.text_only, and its claims count as stranded"
        )
