"""Local attributions, averaged to a global table of words: LIME, KernelSHAP, gradient times input (captum).

Each says which words of one input moved the subject. Averaged over inputs they become an explanation that can
be scored like any other: does the sum of the local stories predict new inputs?
Shape key: T words of a text, K outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.config import AttributionAccount as AttributionConfig
from scrutable.pipeline.behaviours.pairs import balanced
from scrutable.pipeline.behaviours.protocols import BehavingSubject, BehaviourServices, Pair, Shown
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Reading
from scrutable.pipeline.behaviours.word_table import WordTable, scores, words_of, write_word_table
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.records import CallFailure, Explanation, Failure, Language
from scrutable.pipeline.words import split_words

Floats = NDArray[np.float64]

_FEWEST = 2  # inputs that have a word
_SCALES = np.concatenate([[0.0], np.geomspace(0.05, 20.0, 25)])


class AttributionAccount:
    """Writes the mean attribution of each word, in nats after one common scale."""

    language: Language = "words"

    def __init__(self, name: str, config: AttributionConfig, services: BehaviourServices) -> None:
        self.name = name
        self._config = config
        self._services = services

    def explain(self, jobs: Sequence[Shown]) -> list[Explanation | Failure]:
        """One table for each job; a subject or a readout that has no such attribution is a Failure."""
        return [self._explain(job) for job in jobs]

    def _explain(self, job: Shown) -> Explanation | Failure:
        behaviour = job.definition.name
        subject = self._services.subject(job.definition)
        pairs = balanced(job, count=self._config.inputs, seed=self._services.seed)
        try:
            local = self._local(job, subject, pairs)
        except CapabilityError as error:
            kind = "not_installed" if "pip install" in str(error) else "no_gradient"
            return Failure(behaviour, "explain", kind, str(error), self.name)
        by_word: dict[str, list[Floats]] = {}
        for found in local:
            for word, values in found.items():
                by_word.setdefault(word, []).append(values)
        means = {w: np.mean(rows, axis=0) for w, rows in by_word.items() if len(rows) >= _FEWEST}
        if not means:
            return Failure(behaviour, "explain", "nothing_attributed", "no word has a value", self.name)
        return Explanation(
            unit=behaviour,
            explainer=self.name,
            language=self.language,
            text=write_word_table(_scaled(job, means)),
            shown=tuple(pair.input.id for pair in job.pairs),
        )

    def _local(self, job: Shown, subject: BehavingSubject, pairs: Sequence[Pair]) -> list[dict[str, Floats]]:
        """For each input that could be attributed: word → (K,)."""
        if self._config.method == "gradient":
            answers = subject.gradients(job.definition, [pair.input for pair in pairs])
            return [
                _by_characters(answer.pieces, answer.values)
                for answer in answers
                if not isinstance(answer, CallFailure)
            ]
        return [self._perturbed(job, subject, pair) for pair in pairs]

    def _perturbed(self, job: Shown, subject: BehavingSubject, pair: Pair) -> dict[str, Floats]:
        """Words of one input by captum's Lime or KernelShap; each is there or taken out of the text."""
        try:
            import torch
            from captum.attr import KernelShap, Lime
        except ImportError:
            raise CapabilityError(
                "captum is not installed: pip install 'scrutable[attribution]', or leave attribution out"
            ) from None
        tokens = split_words(pair.input.text)
        places = [t for t, token in enumerate(tokens) if words_of(token)]
        if not places:
            return {}
        outcomes = job.definition.outcomes
        known: dict[tuple[int, ...], Floats] = {}

        def ask(masks: Any) -> None:
            new = [m for m in dict.fromkeys(tuple(int(v) for v in row) for row in masks) if m not in known]
            texts = [_masked(tokens, places, mask) for mask in new]
            answers = subject.read(job.definition, [replace(pair.input, text=text) for text in texts])
            for mask, answer in zip(new, answers, strict=True):
                known[mask] = _log_odds(answer, outcomes)

        present = torch.ones(1, len(places))
        found = np.zeros((len(places), len(outcomes)))
        method = {"lime": Lime, "kernel_shap": KernelShap}[self._config.method]
        for k in range(len(outcomes)):

            def value(masks: Any, outcome: int = k) -> Any:
                rows = [tuple(int(v) for v in row) for row in masks]
                ask(rows)
                return torch.tensor([known[row][outcome] for row in rows])

            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(self._services.seed)  # the same texts for each outcome: asked once
                attributed = method(value).attribute(
                    present,
                    baselines=torch.zeros_like(present),
                    n_samples=self._config.samples,
                    perturbations_per_eval=self._config.samples,
                )
            found[:, k] = attributed[0].numpy()
        return {tokens[t].strip().casefold(): row for t, row in zip(places, found, strict=True)}


def _masked(tokens: Sequence[str], places: Sequence[int], mask: Sequence[int]) -> str:
    gone = {place for place, is_there in zip(places, mask, strict=True) if not is_there}
    return "".join(token for t, token in enumerate(tokens) if t not in gone)


def _log_odds(answer: Reading | CallFailure, outcomes: Sequence[str]) -> Floats:
    """(K,) log-probabilities less their mean; an answer that cannot be read speaks for no outcome."""
    if isinstance(answer, CallFailure):
        return np.zeros(len(outcomes))
    logs = np.array(answer.scores or np.log(certain(outcomes, answer.outcome)), dtype=np.float64)
    centred: Floats = logs - logs.mean()
    return centred


def _by_characters(pieces: Sequence[str], values: Floats) -> dict[str, Floats]:
    """Word → (K,) sum of the values of the subject's tokens, shared out over their characters."""
    text = "".join(pieces)
    each = np.concatenate(
        [np.tile(row / len(piece), (len(piece), 1)) for piece, row in zip(pieces, values, strict=True)]
    )
    found: dict[str, Floats] = {}
    start = 0
    for token in split_words(text):
        if words_of(token):
            word = token.strip().casefold()
            found[word] = found.get(word, np.zeros(values.shape[1])) + each[start : start + len(token)].sum(0)
        start += len(token)
    return found


def _scaled(job: Shown, means: dict[str, Floats]) -> WordTable:
    """The table whose one scale fits the explain pairs best: attributions know the order, not the size."""
    outcomes = job.definition.outcomes
    done = np.array([outcomes.index(pair.observation.outcome) for pair in job.pairs], dtype=np.intp)
    counts = np.bincount(done, minlength=len(outcomes)) + 0.5
    bias = np.log(counts / counts.sum())
    bare = WordTable(
        outcomes, (0.0,) * len(outcomes), {word: tuple(row.tolist()) for word, row in means.items()}
    )
    sums = np.array([scores(bare, pair.input.text) for pair in job.pairs])
    sums = sums - sums.mean(axis=0)  # what all inputs have in common is the bias
    losses = []
    for scale in _SCALES:
        logits = bias + scale * sums
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        losses.append(-logs[np.arange(len(done)), done].sum())
    scale = float(_SCALES[int(np.argmin(losses))])
    centre = np.mean([scores(bare, pair.input.text) for pair in job.pairs], axis=0)
    weights = {word: tuple((scale * row).tolist()) for word, row in means.items()}
    return WordTable(outcomes, tuple((bias - scale * centre).tolist()), weights)
