"""How well a reader predicts planted rules that it was never taught: correlation for each rule, false alarms.

Rules are put to texts of documents that no lesson came from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.evaluators.statistics import correlation, moments
from scrutable.evaluators.trained.families import Planted, draw
from scrutable.evaluators.trained.lessons import Curriculum, Lesson, fitting_texts, lesson

Floats = NDArray[np.float64]

Read = Callable[[str, Sequence[Sequence[str]]], list[Floats]]
"""A description and texts as pieces → (T,) expected level of each piece of each text."""

_FIRING, _BLIND = 3, 3  # texts of one rule


class Exam(NamedTuple):
    """One rule and its texts."""

    planted: Planted
    lessons: tuple[Lesson, ...]


class Mark(NamedTuple):
    """What a reader made of one exam."""

    planted: Planted
    correlation: float  # NaN where the reader predicts a constant
    misled: float  # mean expected level on texts in which the rule is silent, as a share of the highest


def exams(curriculum: Curriculum, *, n: int, seed: int) -> tuple[Exam, ...]:
    """`n` rules with three texts in which each fires and three drawn blindly."""
    rng = Random(seed)
    found: list[Exam] = []
    while len(found) < n:
        planted = draw(rng, curriculum.lexicon, families=curriculum.families, excluded=curriculum.excluded)
        texts = list(fitting_texts(rng, curriculum.lexicon, planted, wanted=_FIRING))
        if not texts:
            continue
        blind = rng.sample(curriculum.lexicon.texts, _BLIND)
        asked = [lesson(planted, "fires", t) for t in texts] + [lesson(planted, "blind", t) for t in blind]
        found.append(Exam(planted, tuple(asked)))
    return tuple(found)


def sit(exam: Exam, read: Read, *, top: float) -> Mark:
    """One exam, read once."""
    answers = read(exam.planted.description, [each.text.tokens for each in exam.lessons])
    truth = np.concatenate([np.array(each.levels, dtype=np.float64) for each in exam.lessons])
    silent = [a.mean() for a, each in zip(answers, exam.lessons, strict=True) if not any(each.levels)]
    misled = float(np.mean(silent)) / top if silent else math.nan
    return Mark(exam.planted, pearson(truth, np.concatenate(answers)), misled)


def pearson(true: Floats, predicted: Floats) -> float:
    """Unweighted Pearson correlation; NaN if either side is constant."""
    one = np.zeros(true.size, dtype=np.intp)
    return float(correlation(moments(true, predicted[None], np.ones(true.size), one, n_documents=1))[0, 0])


def mean_correlation(marks: Sequence[Mark]) -> float:
    """The mean over marks that are defined; NaN if none is."""
    values = [mark.correlation for mark in marks if not math.isnan(mark.correlation)]
    return float(np.mean(values)) if values else math.nan
