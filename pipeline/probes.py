"""Linear probes of a model's input embeddings: fitted by ridge regression, a byte for each weight.

Needs the model's folder, never the model: rows of the embedding matrix are read from its file, for the
texts that are asked for. Shape key: V texts, D width of the embedding, R eigenvalues.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.errors import CapabilityError, ParseError
from scrutable.pipeline.records import Excerpt
from scrutable.pipeline.tables import scored_tokens, tally

Floats = NDArray[np.float64]

_MATRICES = (
    "embed_tokens.weight",
    "wte.weight",
    "lm_head.weight",
)  # the last only where it is tied to the first
_PENALTIES = np.geomspace(1e-4, 1e4, 25)  # times the mean squared length of an embedding


@dataclass(frozen=True, slots=True)
class Probe:
    """A token's activation is intercept + scale * weights . embedding, in the subject's raw units."""

    scale: float
    intercept: float
    weights: NDArray[np.int8]  # (D,)

    def predict(self, vectors: Floats) -> Floats:
        """(V, D) embeddings to (V,) activations."""
        return self.intercept + self.scale * (vectors @ self.weights.astype(np.float64))

    def write(self) -> str:
        """A JSON object: scale, intercept, and the weights as base64 of signed bytes."""
        weights = base64.b64encode(self.weights.tobytes()).decode("ascii")
        return json.dumps({"scale": self.scale, "intercept": self.intercept, "weights": weights})


def read_probe(text: str) -> Probe:
    """The probe that `write` wrote. Raises ParseError for anything else."""
    try:
        parts = json.loads(text, parse_int=float)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ParseError(f"not a probe: {error}") from error
    if not isinstance(parts, dict) or set(parts) != {"scale", "intercept", "weights"}:
        raise ParseError("not a probe: expected a JSON object with scale, intercept and weights")
    scale, intercept, weights = parts["scale"], parts["intercept"], parts["weights"]
    if not all(isinstance(number, float) and math.isfinite(number) for number in (scale, intercept)):
        raise ParseError("not a probe: scale and intercept must be finite numbers")
    try:
        decoded = base64.b64decode(weights.encode("ascii"), validate=True)
    except (AttributeError, UnicodeEncodeError, binascii.Error) as error:
        raise ParseError(f"not a probe: its weights are not base64 ({error})") from error
    return Probe(scale, intercept, np.frombuffer(decoded, dtype=np.int8))


def fit_probe(excerpts: Sequence[Excerpt], embeddings: Embeddings) -> Probe | None:
    """Population-weighted ridge regression from a token's embedding to its activation.

    The penalty is the one with the least generalised cross-validation error (Golub, Heath & Wahba 1979),
    the weights are rounded to 127 steps either way, and the intercept is fitted after that. None where
    no token is scored or the activation does not depend on the token.
    """
    seen = tally((token, a, w) for _, token, a, w in scored_tokens(excerpts))
    texts = list(seen.weight)
    n = sum(seen.count.values())
    if len(texts) < 2:
        return None
    # Tokens of one text have one embedding, so that their mean is all that a fit can use of them.
    weight = np.array([seen.weight[text] for text in texts])
    mean = np.array([seen.mean_of([text]) for text in texts])
    share = weight / weight.sum()
    vectors = embeddings.of(texts)
    within = _within(excerpts, dict(zip(texts, mean.tolist(), strict=True))) / weight.sum()
    slopes = _ridge(vectors - share @ vectors, mean - share @ mean, share, within=within, n=n)
    scale = float(np.abs(slopes).max()) / 127
    if scale == 0.0:
        return None
    weights = np.rint(slopes / scale).astype(np.int8)
    intercept = float(share @ (mean - scale * (vectors @ weights.astype(np.float64))))
    return Probe(scale, intercept, weights)


def _within(excerpts: Sequence[Excerpt], mean: dict[str, float]) -> float:
    """Weighted squared error that stays whatever is fitted: around the mean of each text."""
    return sum(w * (a - mean[token]) ** 2 for _, token, a, w in scored_tokens(excerpts))


def _ridge(x: Floats, y: Floats, share: Floats, *, within: float, n: int) -> Floats:
    """(D,) slopes of the ridge regression with the least GCV error.

    Args:
        x: (V, D) centred embeddings.
        y: (V,) centred means.
        share: (V,) of the weight; sums to 1.
        within: mean squared error that no slope can take away.
        n: tokens, against which degrees of freedom are counted.
    """
    root = np.sqrt(share)
    left, singular, right = np.linalg.svd(root[:, None] * x, full_matrices=False)  # (V, R), (R,), (R, D)
    target = left.T @ (root * y)  # (R,)
    outside = float(share @ y**2) - float(target @ target)
    penalties = _PENALTIES * float((singular**2).sum())
    kept = singular**2 / (singular**2 + penalties[:, None])  # (penalties, R)
    error = within + outside + ((1 - kept) ** 2 @ target**2)
    gcv = error / np.maximum(1 - (kept.sum(axis=1) + 1) / n, 1e-9) ** 2
    best = penalties[int(np.argmin(gcv))]
    slopes: Floats = right.T @ (singular / (singular**2 + best) * target)
    return slopes


class Embeddings:
    """The input embeddings of a model, by the text of a token."""

    def __init__(self, folder: str, *, name: str) -> None:
        """Opens the file that holds the matrix. Raises CapabilityError if none of the folder's does."""
        from transformers import AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._rows = _matrix(Path(folder), name)
        self.width = int(self._rows.get_shape()[1])
        self._known: dict[str, Floats] = {}

    def of(self, texts: Sequence[str]) -> Floats:
        """(V, D) embeddings. A text of several tokens has their mean; one of none, the zero vector."""
        for text in dict.fromkeys(texts):
            if text not in self._known:
                self._known[text] = self._mean_row(text)
        return np.array([self._known[text] for text in texts]).reshape(len(texts), self.width)

    def _mean_row(self, text: str) -> Floats:
        ids = self._tokenizer.encode(text, add_special_tokens=False)
        if not ids:
            return np.zeros(self.width)
        rows = np.array([self._rows[i : i + 1].float().numpy()[0] for i in ids], dtype=np.float64)
        mean: Floats = rows.mean(axis=0)
        return mean


def _matrix(folder: Path, name: str) -> Any:
    """The rows of the embedding matrix, read from the file as they are asked for."""
    import safetensors

    places = []
    for path in sorted(folder.glob("*.safetensors")):
        with safetensors.safe_open(path, framework="pt") as file:
            keys: list[str] = list(file.keys())
        places += [
            (rank, key, path) for key in keys for rank, end in enumerate(_MATRICES) if key.endswith(end)
        ]
    if not places:
        raise CapabilityError(
            f"{name}: no {' or '.join(_MATRICES)} in the *.safetensors of {folder}: "
            "a probe needs the model's input embeddings in a safetensors file."
        )
    _, key, path = min(places)
    opened: Any = safetensors.safe_open(path, framework="pt")  # stays open, to be read row by row
    return opened.get_slice(key)
