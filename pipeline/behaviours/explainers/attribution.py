"""Local attributions, averaged to a global table of words: LIME, KernelSHAP, gradient times input (captum).

Each says which words of one input moved the subject. Averaged over inputs they become an explanation that can
be scored like any other: does the sum of the local stories predict new inputs?
Shape key: T words of a text, K outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.config import AttributionAccount as AttributionConfig
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.heads import log_softmax
from scrutable.pipeline.behaviours.pairs import balanced, outcome_numbers
from scrutable.pipeline.behaviours.protocols import NO_CAPTUM, BehavingSubject, BehaviourServices, Pair, Shown
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Input, Reading
from scrutable.pipeline.behaviours.word_table import WordTable, scores, words_of, write_word_table
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.records import CallFailure, Cost, Explanation, Failure, Language
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
            kind = "not_installed" if str(error) == NO_CAPTUM else "no_gradient"
            return Failure(behaviour, "explain", kind, str(error), self.name)
        failed = [found for found in local if isinstance(found, CallFailure)]
        if len(failed) > len(local) / 2:
            detail = f"{len(failed)} of {len(local)} inputs have no attribution: {failed[0].detail}"
            return Failure(behaviour, "explain", failed[0].kind, detail, self.name)
        by_word: dict[str, list[Floats]] = {}
        for found in local:
            for word, values in () if isinstance(found, CallFailure) else found.weights.items():
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
            cost=sum((one.cost for one in local if isinstance(one, _Local)), start=Cost()),
        )

    def _local(
        self, job: Shown, subject: BehavingSubject, pairs: Sequence[Pair]
    ) -> list[_Local | CallFailure]:
        """For each input what its words say, or why they have no values."""
        if self._config.method == "gradient":
            answers = subject.gradients(job.definition, [pair.input for pair in pairs])
            return [
                answer
                if isinstance(answer, CallFailure)
                else _Local(_by_characters(answer.pieces, answer.values), Cost())
                for answer in answers
            ]
        return [self._perturbed(job, subject, pair) for pair in pairs]

    def _perturbed(self, job: Shown, subject: BehavingSubject, pair: Pair) -> _Local | CallFailure:
        """The words of one input by LIME or KernelSHAP, each either there or taken out wherever it stands."""
        words, outcomes = words_of(pair.input.text), job.definition.outcomes
        if not words:
            return _Local({}, Cost())
        texts = _PerturbedTexts(job.definition, subject, pair.input)
        rows = [self._attributed(texts, k, n_words=len(words)) for k in range(len(outcomes))]
        if texts.n_readable < len(texts.known) / 2 or np.isnan(rows).any():
            counts = f"{texts.n_readable} of {len(texts.known)} perturbed texts could be read"
            return CallFailure("malformed", f"{counts}: {texts.trouble}")
        return _Local(dict(zip(words, np.stack(rows, axis=1), strict=True)), texts.cost)

    def _attributed(self, texts: _PerturbedTexts, outcome: int, *, n_words: int) -> Floats:
        """(A,) what each word adds to the log-odds of one outcome; NaN where nothing could be read."""
        try:
            import torch
            from captum.attr import KernelShap, Lime
        except ImportError:
            raise CapabilityError(NO_CAPTUM) from None
        if self._config.method == "kernel_shap" and n_words == 1:  # captum's needs two
            there, gone = texts.log_odds([[True], [False]])[:, outcome]
            return np.array([there - gone])
        method: Any = {"lime": Lime, "kernel_shap": KernelShap}[self._config.method](
            lambda masks: torch.tensor(texts.log_odds(masks)[:, outcome])
        )
        method.interpretable_model = _FittedOnReadable(method.interpretable_model)
        present = torch.ones(1, n_words)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._services.seed)  # the same texts for each outcome: asked once
            attributed = method.attribute(
                present,
                baselines=torch.zeros_like(present),
                n_samples=self._config.samples,
                perturbations_per_eval=self._config.samples,
            )
        return np.asarray(attributed[0].numpy(), dtype=np.float64)


class _Local(NamedTuple):
    """What the words of one input say."""

    weights: dict[str, Floats]  # word → (K,) nats
    cost: Cost


class _PerturbedTexts:
    """An input with words taken out, and the log-odds of the outcomes then; no text is asked about twice."""

    def __init__(self, definition: Definition, subject: BehavingSubject, one: Input) -> None:
        self.known: dict[tuple[bool, ...], Floats] = {}  # words that are there → (K,) nats; NaN: unreadable
        self.trouble = ""  # of the first that could not be read
        self.cost = Cost()
        self._definition, self._subject, self._input = definition, subject, one

    @property
    def n_readable(self) -> int:
        """How many texts have log-odds."""
        return sum(not np.isnan(row).any() for row in self.known.values())

    def log_odds(self, masks: Any) -> Floats:
        """(M, K) log-probabilities less their mean, of each mask (M, A) over the words of the input."""
        rows = [tuple(bool(there) for there in mask) for mask in masks]
        new = [row for row in dict.fromkeys(rows) if row not in self.known]
        inputs = [replace(self._input, text=_masked(self._input.text, row)) for row in new]
        for row, answer in zip(new, self._subject.read(self._definition, inputs), strict=True):
            self.known[row] = self._centred(answer)
        return np.stack([self.known[row] for row in rows])

    def _centred(self, answer: Reading | CallFailure) -> Floats:
        outcomes = self._definition.outcomes
        if isinstance(answer, CallFailure):
            self.trouble = self.trouble or answer.detail
            return np.full(len(outcomes), np.nan)
        self.cost += answer.cost
        logs = np.array(answer.scores or np.log(certain(outcomes, answer.outcome)), dtype=np.float64)
        centred: Floats = logs - logs.mean()
        return centred


class _FittedOnReadable:
    """A linear model of captum's that never sees the texts whose answer could not be read."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._nothing: Any = None

    def fit(self, train_data: Any, **options: Any) -> Any:
        """Fits on the rows (features, outputs, weights) whose output is a number."""
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        columns = [torch.cat(column) for column in zip(*train_data, strict=True)]
        is_readable = ~columns[1].isnan()
        if not is_readable.any():
            self._nothing = torch.full(columns[0].shape[1:], torch.nan)
            return {}
        kept = TensorDataset(*(column[is_readable] for column in columns))
        return self._model.fit(DataLoader(kept, batch_size=len(kept)), **options)

    def representation(self) -> Any:
        """(A,) the weights; NaN if no row could be read."""
        return self._model.representation() if self._nothing is None else self._nothing


def _masked(text: str, there: Sequence[bool]) -> str:
    """A text without the words whose place in `words_of` is False."""
    gone = {word for word, is_there in zip(words_of(text), there, strict=True) if not is_there}
    return "".join(token for token in split_words(text) if token.strip().casefold() not in gone)


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
    """The table whose one scale fits the explain pairs best: attributions know the order, not the size.

    An outcome that was seen n times counts as (n + 1) / (n + K) certain, so that pairs which the table tells
    apart do not ask for an endless scale (Platt 1999, section 2.2).
    """
    outcomes = job.definition.outcomes
    done = outcome_numbers(job.pairs, outcomes)
    counts = np.bincount(done, minlength=len(outcomes))
    targets = (np.eye(len(outcomes)) * counts[:, None] + 1) / (counts[:, None] + len(outcomes))
    bias = np.log((counts + 0.5) / (counts + 0.5).sum())
    bare = WordTable(
        outcomes, (0.0,) * len(outcomes), {word: tuple(row.tolist()) for word, row in means.items()}
    )
    sums = np.array([scores(bare, pair.input.text) for pair in job.pairs])
    centre = sums.mean(axis=0)  # what all inputs have in common is the bias
    losses = []
    for scale in _SCALES:
        losses.append(-(targets[done] * log_softmax(bias + scale * (sums - centre))).sum())
    scale = float(_SCALES[int(np.argmin(losses))])
    weights = {word: tuple((scale * row).tolist()) for word, row in means.items()}
    return WordTable(outcomes, tuple((bias - scale * centre).tolist()), weights)
