"""Fuzzing: does an explanation tell the tokens on which the unit fires from others that are marked alike?

Each firing excerpt is asked about twice: with its firing tokens marked, and with the same pattern of marks
shifted to tokens that do not fire. Number, lengths and distances of the marks are equal in both classes, so
that nobody who only counts marks can tell them apart (FIELD.md E.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from scrutable.evaluators.asking import Question, answers, too_few, verdict
from scrutable.evaluators.firing import SILENT, classes
from scrutable.pipeline.config import FuzzingJudge as FuzzingConfig
from scrutable.pipeline.markup import Piece
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Examination, Services
from scrutable.pipeline.records import Excerpt, Failure, Metric, Verdict

_STRONG = 0.5  # share of the excerpt's maximum above which a token is marked


class FuzzingJudge:
    """Asks whether marked tokens fit the explanation; value is P(yes)."""

    metric: Metric = "auroc"
    reads_explanations = True

    def __init__(self, name: str, config: FuzzingConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._ask = services.ask(config)
        self._seed = services.seed
        self._template = template(config.prompt)

    def judge(self, jobs: Sequence[Examination]) -> list[Verdict | Failure]:
        """Two verdicts for each excerpt and explanation; a Failure for a unit without a usable excerpt."""
        found: list[Verdict | Failure] = []
        questions: list[Question] = []
        for job in jobs:
            marked = self._marked(job)
            if marked:
                questions += self._questions(job, marked)
            else:
                detail = "no firing test excerpt has room to shift its marks to silent tokens"
                found.append(too_few(job.unit, self.name, detail))
        read = answers(self._ask, questions, judge=self.name)
        for question, answer in zip(questions, read, strict=True):
            if isinstance(answer, Failure):
                found.append(answer)
            else:
                value = answer.probabilities[0]
                found.append(verdict(question, answer, judge=self.name, value=value))
        return found

    def _marked(self, job: Examination) -> list[tuple[Excerpt, frozenset[int], frozenset[int]]]:
        """Excerpts with the places of their true marks and of the shifted ones."""
        of_unit = classes(job.unit, job.excerpts, seed=self._seed)
        found = []
        for excerpt in of_unit.firing:
            true = _strong(excerpt)
            shifted = _shifted(excerpt, true, ceiling=SILENT * of_unit.largest)
            if shifted:
                found.append((excerpt, true, shifted))
        return found[: self._config.per_class]

    def _questions(
        self, job: Examination, marked: Sequence[tuple[Excerpt, frozenset[int], frozenset[int]]]
    ) -> Iterator[Question]:
        for explanation in job.explanations:
            for excerpt, true, shifted in marked:
                for marks, truth in ((true, True), (shifted, False)):
                    prompt = self._template.read_labels(
                        explanation=explanation.text, pieces=_pieces(excerpt, marks)
                    )
                    trial = f"{excerpt.passage.id}/{'true' if truth else 'shifted'}"
                    yield Question(job.unit, explanation.id, trial, excerpt.document, truth, prompt)


def _strong(excerpt: Excerpt) -> frozenset[int]:
    scored = range(excerpt.passage.n_context, len(excerpt.activations))
    return frozenset(t for t in scored if excerpt.activations[t] >= _STRONG * excerpt.max_activation)


def _shifted(excerpt: Excerpt, marks: frozenset[int], *, ceiling: float) -> frozenset[int] | None:
    """The marks moved by the smallest distance that puts all of them on scored tokens up to `ceiling`."""
    first, end = excerpt.passage.n_context, len(excerpt.activations)
    for distance in sorted(range(first - end, end - first), key=lambda d: (abs(d), d)):
        moved = frozenset(t + distance for t in marks)
        if all(first <= t < end and excerpt.activations[t] <= ceiling for t in moved):
            return moved
    return None


def _pieces(excerpt: Excerpt, marks: frozenset[int]) -> tuple[Piece, ...]:
    """The excerpt as text, each mark around a token without the white space beside it."""
    pieces: list[Piece] = []
    for is_marked, run in groupby(range(len(excerpt.activations)), lambda t: t in marks):
        text = "".join(excerpt.passage.tokens[t] for t in run)
        bare = text.strip() or text
        before, bare, after = text.partition(bare) if is_marked and text else (text, "", "")
        pieces += Piece(before, False), Piece(bare, is_marked), Piece(after, False)
    return tuple(piece for piece in pieces if piece.text)
