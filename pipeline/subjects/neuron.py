"""MLP neurons of a causal language model as units, read at the input of the down projection.

Works on any decoder of the transformers library whose blocks hold `mlp.down_proj` (Llama, Qwen2,
Gemma3 and their kin) or `mlp.c_proj` (GPT-2). Knows nothing of explanations.
Shape key: B windows of a batch, T tokens, F neurons of a layer, U units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.protocols import Effects, Sampler, Tokenized
from scrutable.pipeline.records import Unit
from scrutable.pipeline.sampling import Captured, SamplingPlan
from scrutable.pipeline.spelling import lead_ids
from scrutable.pipeline.subjects.strata import Arrays, StrataSampler
from scrutable.pipeline.windows import Windows

SIGNS: tuple[Literal["pos", "neg"], ...] = ("pos", "neg")
UNIT_ID = re.compile(r"L(\d+)\.N(\d+)\.(pos|neg)")
HOOK_NAMES = ("down_proj", "c_proj")


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a neuron unit sits."""

    layer: int
    index: int
    sign: Literal["pos", "neg"]

    @property
    def id(self) -> str:
        return f"L{self.layer}.N{self.index}.{self.sign}"


def parse_unit(unit: str) -> Coordinates:
    """The coordinates that a unit id names. Raises ConfigError for anything else."""
    match = UNIT_ID.fullmatch(unit)
    if not match:
        raise ConfigError(f"units.ids: {unit!r} is no neuron id; write it like L8.N715.pos")
    return Coordinates(int(match[1]), int(match[2]), "pos" if match[3] == "pos" else "neg")


class NeuronSubject:
    """A causal language model whose MLP neurons are the units."""

    def __init__(
        self,
        path: str,
        *,
        name: str,
        placement: Placement,
        signs: Sequence[Literal["pos", "neg"]] = SIGNS,
        batch_size: int = 32,
        random_seed: int | None = None,
        provenance: Mapping[str, Any],
    ) -> None:
        """Loads the model; with `random_seed`, only its shape, and initialises the weights anew.

        Raises CapabilityError if its blocks hold no MLP that we know.
        """
        self.name = name
        self.signs = tuple(signs)
        self.batch_size = batch_size
        transformers_logging.disable_progress_bar()
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.causal = _loaded(path, placement, random_seed)
        self._model = self.causal.base_model
        self._device = torch.device(placement.device)
        self.hooked = _down_projections(self._model, name)
        self.widths = tuple(_input_width(module) for module in self.hooked)
        self._lead = lead_ids(self.tokenizer)
        self.provenance: Mapping[str, Any] = {
            **provenance,
            "architecture": type(self._model).__name__,
            "dtype": placement.dtype,
            "device": placement.device,
            "units": "MLP neurons at the input of the down projection, half-wave rectified",
            "weights": "trained" if random_seed is None else f"random, seed {random_seed}",
            "layers": len(self.widths),
            "neurons_per_layer": self.widths[0],
            "leading_tokens": list(self._lead),
        }

    def reading(self, read: Callable[[int, torch.Tensor], None]) -> AbstractContextManager[None]:
        """Has `read` see (layer, (B, T, F)) at the input of each down projection, leading tokens included."""
        return _reading(self.hooked, read)

    def unit_ids(self) -> list[str]:
        """Every unit, by layer, then sign, then index: the order of all arrays over units."""
        return [
            Coordinates(layer, index, sign).id
            for layer, width in enumerate(self.widths)
            for sign in self.signs
            for index in range(width)
        ]

    def check_units(self, units: Sequence[str]) -> None:
        """Raises ConfigError for a unit that this subject does not have."""
        for unit in units:
            at = parse_unit(unit)
            if not (
                at.layer < len(self.widths) and at.index < self.widths[at.layer] and at.sign in self.signs
            ):
                raise ConfigError(
                    f"units.ids: {self.name} has no unit {unit}: it has layers 0 to "
                    f"{len(self.widths) - 1}, neurons 0 to {self.widths[0] - 1}, signs {'/'.join(self.signs)}"
                )

    def tokenize(self, texts: Sequence[str]) -> list[Tokenized]:
        """Token ids and the text of each token; a character split over tokens goes to its last one."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True)
        return [
            Tokenized(tuple(ids), pieces_of(text, [end for _, end in offsets]))
            for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True)
        ]

    def sampler(self, plan: SamplingPlan) -> Sampler:
        """A fresh sampler over all neurons of all layers."""
        return NeuronSampler(self, plan)

    def traces(
        self, windows: Windows, wanted: Sequence[int], units: Sequence[str]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(window, (T, U) activations of `units`, rectified) for each wanted window, in order."""
        self.check_units(units)
        by_layer: dict[int, list[tuple[int, Coordinates]]] = {}
        for column, unit in enumerate(units):
            by_layer.setdefault(parse_unit(unit).layer, []).append((column, parse_unit(unit)))
        for start in range(0, len(wanted), self.batch_size):
            batch = np.asarray(wanted[start : start + self.batch_size], dtype=np.int64)
            lengths = windows.lengths[batch]
            out = np.zeros((len(batch), int(lengths.max()), len(units)), dtype=np.float32)

            def read(layer: int, a_BTF: torch.Tensor, out: NDArray[np.float32] = out) -> None:
                columns = by_layer.get(layer)
                if not columns:
                    return
                index = torch.tensor([c.index for _, c in columns], device=a_BTF.device)
                sign = np.array([1.0 if c.sign == "pos" else -1.0 for _, c in columns], dtype=np.float32)
                values = a_BTF[:, :, index].float().cpu().numpy() * sign
                out[:, :, [column for column, _ in columns]] = np.maximum(values, 0.0)

            self.run(windows, batch, read)
            for row, window in enumerate(batch):
                yield int(window), out[row, : lengths[row]]

    def activations(self, texts: Sequence[str], units: Sequence[str]) -> list[NDArray[np.float32]]:
        """(T, U) activations of `units` on each text, rectified; one text in a forward pass."""
        found = []
        for text in texts:
            ids = self.tokenize([text])[0].ids
            inputs = self._inputs(ids)
            found.append(self.rectified(units, (1, len(ids)), partial(self._bare, inputs))[0])
        return found

    @torch.inference_mode()
    def _bare(self, inputs: torch.Tensor) -> None:
        self._model(input_ids=inputs, use_cache=False)

    def rectified(
        self, units: Sequence[str], shape: tuple[int, ...], run: Callable[[], object]
    ) -> NDArray[np.float32]:
        """(B, T, U) activations of `units`, rectified, at the last T positions of what `run` passes."""
        at = [parse_unit(unit) for unit in units]
        n_tokens = shape[1]
        out = np.zeros((*shape, len(units)), dtype=np.float32)

        def read(layer: int, a: torch.Tensor) -> None:
            for column, place in enumerate(at):
                if place.layer == layer and n_tokens:
                    signed = a[:, -n_tokens:, place.index].float().cpu().numpy()
                    out[:, :, column] = np.maximum(signed if place.sign == "pos" else -signed, 0.0)

        with self.reading(read):
            run()
        return out

    @torch.inference_mode()
    def effects(self, unit: str, texts: Sequence[str], *, level: float) -> Effects:
        """What the unit does to the next token: see `protocols.Effects`."""
        at = parse_unit(unit)
        sign = 1.0 if at.sign == "pos" else -1.0
        steered: list[torch.Tensor] = []
        ablated: list[torch.Tensor] = []
        for text in texts:
            inputs = self._inputs(self.tokenize([text])[0].ids)
            clean = self._next_token(inputs)

            def steer(_: int, a: torch.Tensor) -> torch.Tensor:
                a = a.clone()
                a[:, -1, at.index] = sign * level
                return a

            def ablate(_: int, a: torch.Tensor) -> torch.Tensor:
                a = a.clone()
                a[:, :, at.index] = sign * (sign * a[:, :, at.index]).clamp_max(0)
                return a

            for change, effect in ((steer, steered), (ablate, ablated)):
                with changing([self.hooked[at.layer]], change):
                    effect.append(self._next_token(inputs) - clean)
        return Effects(
            words=self._words,
            # Steering acts on the last position alone; ablation on all, of which the mean is taken.
            steered=torch.stack([change[-1] for change in steered]).mean(0).cpu().numpy(),
            ablated=torch.stack([change.mean(0) for change in ablated]).mean(0).cpu().numpy(),
        )

    @cached_property
    def _words(self) -> tuple[str, ...]:
        """The text of each token of the vocabulary; decoding them takes seconds."""
        vocabulary = range(self.causal.get_output_embeddings().weight.shape[0])
        return tuple(self.tokenizer.batch_decode([[token] for token in vocabulary]))

    def _inputs(self, ids: Sequence[int]) -> torch.Tensor:
        return torch.tensor([[*self._lead, *ids]], device=self._device)

    def _next_token(self, inputs: torch.Tensor) -> torch.Tensor:
        """(T, V) log-probabilities after each token of the text, in float32."""
        logits: torch.Tensor = self.causal(input_ids=inputs, use_cache=False).logits[0, len(self._lead) :]
        return logits.float().log_softmax(-1)

    @torch.inference_mode()
    def run(
        self,
        windows: Windows,
        numbers: NDArray[np.int64],
        read: Callable[[int, torch.Tensor], None] | None,
    ) -> None:
        """One forward pass; `read` gets (layer, (B, T, F)) at the input of each down projection.

        Windows are padded on the right, which a causal model never looks at, so no mask is needed.
        """
        lead, lengths = len(self._lead), windows.lengths[numbers]
        ids = np.zeros((len(numbers), lead + int(lengths.max())), dtype=np.int64)
        ids[:, :lead] = self._lead
        for row, window in enumerate(numbers):
            ids[row, lead : lead + lengths[row]] = windows.token_ids(int(window))
        inputs = torch.from_numpy(ids).to(self._device)
        if read is None:
            self._model(input_ids=inputs, use_cache=False)
            return
        with _reading(self.hooked, lambda layer, a: read(layer, a[:, lead:])):
            self._model(input_ids=inputs, use_cache=False)


class NeuronSampler:
    """Feeds every neuron of every layer to a StrataSampler, with running moments beside it."""

    def __init__(self, subject: NeuronSubject, plan: SamplingPlan) -> None:
        self._subject = subject
        n_signs = len(subject.signs)
        self._widths = [width * n_signs for width in subject.widths]
        device = subject._device
        self._strata = StrataSampler(self._widths, plan, device)
        self._sums = torch.zeros(sum(self._widths), dtype=torch.float64, device=device)
        self._squares = torch.zeros(sum(self._widths), dtype=torch.float64, device=device)
        self._n_tokens = 0

    def feed(self, windows: Windows, numbers: NDArray[np.int64], *, split: int) -> None:
        """One forward pass; statistics leave out every window's context tokens."""
        scored = _Scored(windows.n_context[numbers], windows.lengths[numbers])
        windows_B = torch.from_numpy(numbers).to(self._sums.device)

        def read(layer: int, a_BTF: torch.Tensor) -> None:
            start = sum(self._widths[:layer])
            span = slice(start, start + self._widths[layer])
            maxima, sums, squares = _window_statistics(a_BTF, scored, signs=self._subject.signs)
            self._sums[span] += sums
            self._squares[span] += squares
            self._strata.update(layer, maxima, windows_B, split=split)

        self._subject.run(windows, numbers, read)
        self._n_tokens += int(scored.total)

    def end_of_split(self, split: int) -> None:
        self._strata.end_of_split(split)

    def state(self) -> Arrays:
        return self._strata.state() | {
            "sums": self._sums.cpu().numpy(),
            "squares": self._squares.cpu().numpy(),
            "n_tokens": np.array(self._n_tokens),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._strata.restore(state)
        self._sums.copy_(torch.from_numpy(state["sums"].copy()))
        self._squares.copy_(torch.from_numpy(state["squares"].copy()))
        self._n_tokens = int(state["n_tokens"])

    def captured(self) -> Captured:
        """All units with their figures, and the sample of each."""
        sums, squares = self._sums.cpu().numpy(), self._squares.cpu().numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            density = sums**2 / (max(self._n_tokens, 1) * squares)
        maxima = self._strata.top_values[:, :, 0].amax(0).cpu().numpy()
        units = tuple(
            Unit(
                id=unit,
                layer=parse_unit(unit).layer,
                index=parse_unit(unit).index,
                sign=parse_unit(unit).sign,
                density=float(density[u]),
                max_activation=float(maxima[u]),
            )
            for u, unit in enumerate(self._subject.unit_ids())
        )
        return Captured(units=units, **self._strata.kept())


class _Scored:
    """Which tokens of a batch count: window b from `starts[b]` to `stops[b]`."""

    def __init__(self, starts: NDArray[Any], stops: NDArray[Any]) -> None:
        self.start, self.stop = int(starts.min()), int(stops.max())
        self.total = (stops - starts).sum()
        odd = (starts != self.start) | (stops != self.stop)
        self.odd_rows = np.flatnonzero(odd)
        positions = np.arange(self.start, self.stop)
        inside = (positions >= starts[odd, None]) & (positions < stops[odd, None])
        self.odd_mask = torch.from_numpy(inside[:, :, None].astype(np.float32))


def _window_statistics(
    a_BTF: torch.Tensor, scored: _Scored, *, signs: Sequence[str]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(U, B) window maxima, (U,) sums and (U,) sums of squares, U = signs x F, all rectified.

    Whole-batch reductions over a slice; the few windows with another span are corrected after,
    since zeroing tokens leaves a rectified maximum and both sums as if they were not there.
    """
    a = a_BTF[:, scored.start : scored.stop].float()
    if len(scored.odd_rows):
        rows = torch.from_numpy(scored.odd_rows).to(a.device)
        regular = torch.ones(len(a), dtype=torch.bool, device=a.device)
        regular[rows] = False
        odd = a[rows] * scored.odd_mask.to(a.device)
        parts = [part for part in (a[regular], odd) if len(part)]
        order = torch.cat([regular.nonzero().squeeze(1), rows]).argsort()
    else:
        parts, order = [a], None
    columns = [
        torch.cat(column) if len(column) > 1 else column[0]
        for column in zip(*map(_reduce, parts), strict=True)
    ]
    low, high = (column if order is None else column[order] for column in columns[:2])
    maxima = {"pos": high.clamp_min(0), "neg": (-low).clamp_min(0)}
    sums = dict(zip(SIGNS, columns[2:4], strict=True))
    squares = dict(zip(SIGNS, columns[4:6], strict=True))
    return (
        torch.cat([maxima[sign] for sign in signs], dim=1).T.contiguous(),
        torch.cat([sums[sign].sum(0) for sign in signs]),
        torch.cat([squares[sign].sum(0) for sign in signs]),
    )


def _reduce(a_BTF: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Each (B, F): minimum, maximum, sums of the positive and of the negative part, and of their squares.

    Both parts are summed for themselves: a difference of sums would drown the smaller one in rounding.
    Plain reductions over one reused buffer are several times faster on a CPU than `aminmax` and norms.
    """
    part = a_BTF.clamp_min(0)
    positive, positive_square = part.sum(1), part.square_().sum(1)
    torch.clamp(a_BTF, max=0, out=part)
    negative, negative_square = part.sum(1), part.square_().sum(1)
    return a_BTF.amin(1), a_BTF.amax(1), positive, -negative, positive_square, negative_square


def pieces_of(text: str, ends: Sequence[int]) -> tuple[str, ...]:
    """The text of each token, so that the pieces join to the text.

    A byte-level tokenizer may split one character over several tokens, all of which then claim it:
    the character goes to the last of them and the others are empty. Text after the last token
    belongs to no token and is left out.
    """
    pieces, begin = [], 0
    for number, end in enumerate(ends):
        stop = end if number + 1 == len(ends) or ends[number + 1] > end else begin
        pieces.append(text[begin : max(stop, begin)])
        begin = max(stop, begin)
    return tuple(pieces)


def _down_projections(model: torch.nn.Module, name: str) -> list[torch.nn.Module]:
    """The down projection of each block, first layer first."""
    found = [
        module
        for path, module in model.named_modules()
        if path.rpartition(".")[2] in HOOK_NAMES and path.split(".")[-2] == "mlp"
    ]
    if not found:
        raise CapabilityError(
            f"{name}: no block of {type(model).__name__} holds mlp.down_proj or mlp.c_proj, so its "
            "neurons cannot be read; use a Llama-, Qwen2-, Gemma3- or GPT-2-style model"
        )
    return found


def _input_width(module: torch.nn.Module) -> int:
    if isinstance(module, torch.nn.Linear):
        return module.in_features
    return cast(torch.Tensor, module.weight).shape[0]  # GPT-2's Conv1D holds (in, out)


def _loaded(path: str, placement: Placement, random_seed: int | None) -> Any:
    dtype = getattr(torch, placement.dtype)
    if random_seed is None:
        model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
    else:
        torch.manual_seed(random_seed)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(path), dtype=dtype)
    return model.eval().to(placement.device)


@contextmanager
def changing(
    modules: Sequence[torch.nn.Module], change: Callable[[int, torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Gives each module what `change` makes of its number and its input, (B, T, F)."""

    def hook(layer: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        def replaced(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return (change(layer, inputs[0]), *inputs[1:])

        return replaced

    handles = [module.register_forward_pre_hook(hook(layer)) for layer, module in enumerate(modules)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _reading(modules: Sequence[torch.nn.Module], read: Callable[[int, torch.Tensor], None]) -> Iterator[None]:
    handles = [
        module.register_forward_pre_hook(lambda _, inputs, layer=layer: read(layer, inputs[0]))
        for layer, module in enumerate(modules)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
