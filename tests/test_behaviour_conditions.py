"""Under which conditions a simulator predicts, and how many examples an explanation is worth."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.behaviours.conditions import (
    assign_null_behaviours,
    fitting,
    prediction_jobs,
    written_pair,
)
from scrutable.pipeline.behaviours.config import BehaviourScoring
from scrutable.pipeline.behaviours.protocols import PredictionJob
from scrutable.pipeline.behaviours.records import Prediction
from scrutable.pipeline.records import Explanation, Failure, Language
from tests.toy_behaviours import definition, explanation, inputs, shown


class Reader:
    """A simulator that is only asked how it would be asked."""

    name = "reader"

    def __init__(self, language: Language = "english", *, reads_examples: bool = True) -> None:
        self.language = language
        self.reads_examples = reads_examples

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        raise NotImplementedError


def jobs(reader: Reader, *own: Explanation, **scoring: int) -> list[PredictionJob]:
    asked = [one for one in inputs() if one.split != "explain"]
    nulls = [explanation("numbers", unit="shop"), explanation("x otherwise", unit="shop", language="policy")]
    options = BehaviourScoring(**scoring)
    return prediction_jobs(reader, shown(), asked, own, nulls, scoring=options, seed=0)


def test_explanations_in_its_language_are_read_own_and_null() -> None:
    read = [job for job in jobs(Reader(), explanation()) if job.condition == "explained"]
    assert [job.explanation and job.explanation.id for job in read] == ["desk/llm", "shop/llm"]
    policies = jobs(Reader("policy", reads_examples=False), explanation(language="policy"))
    assert [job.explanation and job.explanation.unit for job in policies] == ["desk", "shop"]


def test_every_explanation_has_as_many_tokens_of_examples_whatever_its_language() -> None:
    long = explanation("word " * 60, by="rules", language="policy")
    found = [job for job in jobs(Reader(), explanation(), long) if job.condition == "examples"]
    count = Reader().count_tokens
    by_author = {job.explanation.author: job for job in found if job.explanation}
    assert len(by_author["llm"].examples) == 1  # one at least, though it is longer than two words
    used = count(["".join(map(written_pair, by_author["rules"].examples))])[0]
    assert 60 - 12 < used <= 60


def test_examples_come_from_the_explain_split_and_in_several_draws() -> None:
    found = [
        job
        for job in jobs(Reader(), explanation("word " * 40), example_draws=3)
        if job.condition == "examples"
    ]
    assert {pair.input.split for job in found for pair in job.examples} == {"explain"}
    assert [job.draw for job in found] == [1, 2, 3]
    assert len({job.examples for job in found}) == 3


def test_no_condition_but_the_explained_is_told_an_explanation() -> None:
    kinds = [job.condition for job in jobs(Reader(), explanation(), example_draws=1, many_examples=0)]
    assert sorted(kinds) == ["examples", "explained", "explained", "task"]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(0, 200))
def test_as_many_examples_as_fit_and_one_at_least(lengths: list[int], budget: int) -> None:
    n = fitting(lengths, budget)
    assert 1 <= n <= len(lengths)
    assert n == 1 or sum(lengths[:n]) <= budget
    assert n == len(lengths) or sum(lengths[: n + 1]) > budget


def test_nulls_are_other_behaviours_those_with_as_many_outcomes_first() -> None:
    three = {"kind": "choice", "labels": ["grant", "deny", "ask"]}
    names = [definition(f"two{i}") for i in range(3)]
    names += [definition(f"three{i}", readout=three, policy="") for i in range(3)]
    nulls = assign_null_behaviours(names, count=2, seed=0)
    for name, others in nulls.items():
        assert name not in others
        assert all(other.startswith(name[:3]) for other in others)
