"""What recursion expects of the model that it looks into.

Shape key: P tokens of a job's own prompt, R of its text, S = P + R - 1 positions that are run, N nodes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.protocols import Tokenized, Written
from scrutable.pipeline.records import Excerpt, Simulation

Floats = NDArray[np.float32]
Nodes = NDArray[np.int64]
Span = tuple[int, int]

Site = Literal["mlp_exemplars", "mlp_tail", "mlp_text", "attention_exemplars"]
SITES: tuple[Site, ...] = ("mlp_exemplars", "mlp_tail", "mlp_text", "attention_exemplars")


class Read(NamedTuple):
    """A prompt in the author's tokens."""

    prefix: tuple[int, ...]  # what every job shares
    prefix_pieces: tuple[str, ...]
    ids: tuple[int, ...]  # (P,)
    pieces: tuple[str, ...]  # (P,)
    spans: tuple[Span, ...]  # [start, stop) places in `ids`


class Task(NamedTuple):
    """What a job's author is run on."""

    prefix: tuple[int, ...]
    prompt: tuple[int, ...]  # (P,)
    counterfactual: tuple[int, ...]  # (P,)
    reply: tuple[int, ...]  # (R,)
    content: tuple[bool, ...]  # (R,) tokens whose likelihood is accounted for; empty before it is known
    spans: tuple[Span, ...]  # of the prompt


class Screen(NamedTuple):
    """Attribution of the content likelihood to nodes, in nats lost if the node is taken away."""

    content: Floats  # (N,) to its value under the counterfactual prompt
    format: Floats  # (N,) to its mean, all of the text, the smaller of the harms under both prompts


class NodePatch(NamedTuple):
    """Nodes that are held at other values while the rest of the model runs on."""

    nodes: Nodes  # (n,) places in `unit_ids`
    values: Floats | None = None
    """(S, n), >= 0; NaN, or None for all: the value under the counterfactual prompt."""


class Writer(Protocol):
    """A model that wrote explanations, opened up: its nodes are the units of the next level."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> int: ...

    @property
    def provenance(self) -> Mapping[str, Any]: ...

    def unit_ids(self) -> Sequence[str]:
        """Every node: the order of all arrays over nodes."""
        ...

    def read(self, written: Written) -> Read: ...

    def tokens(self, text: str) -> Tokenized:
        """A text that the author wrote, as it continues a prompt."""
        ...

    def likelihoods(self, task: Task, *, is_counterfactual: bool) -> NDArray[np.float64]:
        """(R,) log-probability of each token of the reply, nats."""
        ...

    def screen(self, task: Task) -> Screen:
        """Attribution patching (Nanda 2023; Kramár et al. 2024, AtP*) of every node over all positions."""
        ...

    def patched(self, task: Task, patches: Sequence[NodePatch]) -> list[float]:
        """The likelihood of the content tokens with each of the patches, nats."""
        ...

    def patched_site(self, task: Task, site: Site) -> float:
        """The same with all of a site at its values under the counterfactual prompt; NaN: no such site."""
        ...

    def activations(self, task: Task, units: Sequence[str]) -> Floats:
        """(P + R, U) of nodes in the running author, raw units, >= 0, with all of the prompt as context."""
        ...

    def alone(self, texts: Sequence[Sequence[int]], units: Sequence[str]) -> Floats:
        """(B, T, U) of nodes on texts of one length, each by itself."""
        ...


class Affine(NamedTuple):
    """From a simulator's scale to a unit's raw activations; NaN where nothing could be fitted."""

    slope: float
    intercept: float


class FitMap(Protocol):
    """Fits the map on excerpts and simulations of the same passages."""

    def __call__(self, excerpts: Sequence[Excerpt], simulations: Sequence[Simulation]) -> Affine: ...


class LikelihoodsOf(Protocol):
    """Only the likelihoods of a task: a twin of the author with random weights."""

    def __call__(self, task: Task, *, is_counterfactual: bool) -> NDArray[np.float64]: ...
