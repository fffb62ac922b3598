"""The puzzles and the planted units of the gate are for measuring: nothing of them reaches a lesson."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from toy_curriculum import toy_wordnet

from scrutable.evaluators.gate.units import planted_units
from scrutable.evaluators.trained.families import TAUGHT, plain
from scrutable.evaluators.trained.job import TAUGHT_SPLITS, curriculum, known_answers
from scrutable.evaluators.trained.lessons import lessons
from scrutable.pipeline.assets import resolve_corpus
from scrutable.pipeline.config import CurriculumConfig
from scrutable.pipeline.puzzles import read_puzzles

N_LESSONS = 6000


@pytest.mark.real
def test_no_puzzle_sentence_or_description_reaches_training(tmp_path: Path) -> None:
    puzzles = read_puzzles(resolve_corpus("puzzles", say=lambda _: None))
    corpus = resolve_corpus("enwiki-sample", say=lambda _: None)
    excluded = known_answers(puzzles)
    taught = curriculum(
        toy_wordnet(tmp_path),
        corpus,
        CurriculumConfig(),
        splits=TAUGHT_SPLITS,
        families=TAUGHT,
        excluded=excluded,
    )
    descriptions, texts = set(), set()
    for lesson in itertools.islice(lessons(taught, seed=0), N_LESSONS):
        descriptions.add(plain(lesson.description))
        texts.add("".join(lesson.text.tokens))
    known = {plain(said) for p in puzzles for said in (p.explanation, *p.false_explanations)}
    known |= {plain(unit.english) for unit in planted_units()}
    assert len(descriptions) > N_LESSONS / 5
    assert not descriptions & known
    together = " ".join(texts)
    sentences = [e.passage.text.strip() for p in puzzles for e in p.excerpts]
    assert not [sentence for sentence in sentences if sentence in together]
