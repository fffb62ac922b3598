"""The author's writing as a behaviour: splits, edits, procedures, choices, traits, with scripted models."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt, services

from scrutable.evaluators.foretelling import foretold, traits
from scrutable.pipeline.config import FollowerExplainer as FollowerConfig
from scrutable.pipeline.explainers.follower import FollowerExplainer
from scrutable.pipeline.protocols import Explanatory
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Excerpt,
    Explanation,
    Failure,
    Language,
    Prompt,
    ReadChoice,
)
from scrutable.pipeline.recursion.config import WritingConfig
from scrutable.pipeline.recursion.records import EDITS, GUIDES, Choice, Edit
from scrutable.pipeline.recursion.writing import (
    choices,
    edited,
    procedures,
    traits_of,
    writing_of,
)

CONFIG = WritingConfig.model_validate({"units": 6, "pairs": 3, "simulator": {"model": "none"}})
WORDS = [
    "boat",
    "ship",
    "barge",
    "canoe",
    "ferry",
    "raft",
    "yacht",
    "kayak",
    "dinghy",
    "tanker",
    "sloop",
    "tug",
]


def shown(word: str, n: int = 3) -> tuple[Excerpt, ...]:
    tokens = ["the", f" {word}", " left"]
    return tuple(excerpt(tokens, [0, 9 - k, 0], id=f"{word}{k}") for k in range(n))


EXCERPTS = {f"u{n}": shown(word) for n, word in enumerate(WORDS)}
WRITTEN = {
    unit: Explanation(unit, "author", "english", f"the word {WORDS[n]}") for n, unit in enumerate(EXCERPTS)
}


class Author:
    """Writes the word that is marked in the first excerpt."""

    name = "author"
    language: Language = "english"

    def prompts(self, jobs: Sequence[Explanatory]) -> list[Prompt]:
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        return [
            Explanation(job.unit, "author", "english", f"the word {job.shown[0].passage.tokens[1].strip()}")
            for job in jobs
        ]


def knowing(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
    """A chooser that finds the text if it is told the procedure that helps, and else takes the first."""
    answers: list[Completion | CallFailure] = []
    for prompt in prompts:
        assert isinstance(prompt.read, ReadChoice)
        first = next(line for line in prompt.text.splitlines() if "<<" in line)
        knows = "name the marked word" in prompt.whole
        right = [
            label.split()[-1] in first if knows else place == 0
            for place, label in enumerate(prompt.read.labels)
        ]
        answers.append(Completion(label_logprobs=(tuple(0.0 if one else -5.0 for one in right),)))
    return answers


def writer(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
    """Writes a procedure that helps from the first prompt, and one that does not from the second."""
    del prompts
    return [Completion(text=" name the marked word"), Completion(text=" say something else")]


@given(st.integers(0, 50))
def test_no_unit_is_told_of_and_held_out(seed: int) -> None:
    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=seed)
    told, held = ({pair.unit for pair in pairs} for pairs in writing)
    assert not told & held
    assert (len(told), len(held)) == (3, 6)


def test_edits_change_what_they_say_and_nothing_else() -> None:
    own, other = shown("boat"), shown("raft")
    found = {edit: edited(own, edit, other, seed=1) for edit in EDITS}
    assert found["none"] == own
    assert found["swap_top"] == (other[0], *own[1:])
    assert sorted(e.passage.id for e in found["permute"]) == sorted(e.passage.id for e in own)
    assert found["permute"] != own
    assert found["drop_one"] == own[1:]


def test_procedures_are_written_from_the_pairs_and_from_exchanged_ones() -> None:
    asked: list[Prompt] = []

    def keep(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        asked.extend(prompts)
        return [Completion(text=" copy it\n"), CallFailure("timeout", "no answer")]

    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)
    found = procedures(writing.told, keep, CONFIG, author="a", writer="b")
    assert (found["own"].text, found["own"].reason) == ("copy it", "")
    assert (found["shuffled"].text, found["shuffled"].reason) == ("", "no answer")
    own, moved = (sorted(line for line in p.text.splitlines() if line.startswith("Written")) for p in asked)
    assert own == moved
    assert asked[0].text != asked[1].text


def test_a_procedure_that_helps_is_told_from_one_that_does_not() -> None:
    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)
    told = procedures(writing.told, writer, CONFIG, author="a", writer="b")
    found = choices(writing, Author(), knowing, told, CONFIG, seed=0)
    assert len(found) == 6 * len(EDITS) * len(GUIDES)
    rows = {row.edit: row for row in foretold(found, draws=200, seed=0)}
    for edit in ("none", "permute", "drop_one"):
        assert rows[edit].own == 1
        assert rows[edit].chance == 0.25
        assert rows[edit].difference == pytest.approx(1 - rows[edit].shuffled)
        assert rows[edit].shuffled < 1


def test_candidates_are_the_same_under_every_procedure_and_hold_the_authors_text_once() -> None:
    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)
    told = procedures(writing.told, writer, CONFIG, author="a", writer="b")
    by_case: dict[tuple[str, Edit], set[tuple[str, ...]]] = {}
    for choice in choices(writing, Author(), knowing, told, CONFIG, seed=0):
        by_case.setdefault((choice.job, choice.edit), set()).add(choice.candidates)
        assert len(set(choice.candidates)) == choice.n_candidates == 4
    assert all(len(candidates) == 1 for candidates in by_case.values())


def test_a_call_that_fails_is_no_wrong_answer() -> None:
    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)

    def silent(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        return [CallFailure("timeout", "no answer") for _ in prompts]

    found = choices(writing, Author(), silent, {}, CONFIG, seed=0)
    assert {choice.reason for choice in found} == {"no answer"}
    row = foretold(found, draws=10, seed=0)[0]
    assert math.isnan(row.own)
    assert row.reason == "0 units were asked under every procedure, fewer than 3"


def test_without_a_procedure_nothing_is_asked_under_it() -> None:
    def half(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        del prompts
        return [Completion(text=" name the marked word"), CallFailure("timeout", "no answer")]

    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)
    told = procedures(writing.told, half, CONFIG, author="a", writer="b")
    found = choices(writing, Author(), knowing, told, CONFIG, seed=0)
    reasons = {(choice.procedure, choice.reason) for choice in found}
    assert reasons == {("own", ""), ("none", ""), ("shuffled", "no procedure: no answer")}


def test_one_pair_makes_no_control() -> None:
    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)
    told = procedures(writing.told[:1], writer, CONFIG, author="a", writer="b")
    assert told["shuffled"].reason == "the explanations that changed places are all alike"
    assert told["own"].reason == ""


def test_an_answer_without_numbers_is_no_wrong_answer() -> None:
    def broken(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        return [Completion(label_logprobs=((math.nan,) * 4,)) for _ in prompts]

    writing = writing_of(WRITTEN, EXCERPTS, CONFIG, seed=0)
    found = choices(writing, Author(), broken, {}, CONFIG, seed=0)
    assert {choice.reason for choice in found} == {"an answer without a number for each explanation"}


def test_traits_of_texts_that_are_known() -> None:
    assert traits_of("the word boat", shown("boat")) == {
        "copy_rate": pytest.approx(2 / 3),  # "the" and "boat" were shown, "word" was not
        "length": 3,
        "names_strongest": 1,
    }
    nothing = traits_of("!!", shown("boat"))
    assert math.isnan(nothing["copy_rate"])
    assert (nothing["length"], nothing["names_strongest"]) == (0, 0)


def test_a_perfect_stand_in_has_an_r2_of_one_and_the_mean_of_nought() -> None:
    told = [{"copy_rate": 0.5, "length": 4.0, "names_strongest": 0.5}] * 3
    held = {
        f"u{n}": {"copy_rate": n / 4, "length": 2.0 * n, "names_strongest": float(n % 2)} for n in range(5)
    }
    mean = dict.fromkeys(held, told[0])
    found = {
        (t.predictor, t.trait): t for t in traits(told, held, {"same": held, "mean": mean}, draws=50, seed=0)
    }
    assert {found["same", trait].r2 for trait in told[0]} == {1.0}
    assert {found["mean", trait].r2 for trait in told[0]} == {0.0}
    few = traits(told, {"u0": held["u0"]}, {"same": held}, draws=10, seed=0)
    assert {t.reason for t in few} == {"1 held-out units, fewer than 3"}


def test_a_follower_writes_by_the_procedure_that_it_is_given() -> None:
    asked: list[Prompt] = []

    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        asked.extend(prompts)
        return [Completion(text=" boats\n", stopped="stop") for _ in prompts]

    config = FollowerConfig(model="none", procedure="name the kind of thing")
    found = FollowerExplainer("stand_in", config, services(ask)).explain([Explanatory("u0", shown("boat"))])
    assert isinstance(found[0], Explanation)
    assert (found[0].text, found[0].explainer) == ("boats", "stand_in")
    assert "Procedure: name the kind of thing" in asked[0].whole
    assert "<<boat>>" in asked[0].whole


def test_a_choice_is_right_only_if_nothing_is_as_likely() -> None:
    tie = Choice(1, "u", "own", "none", 2, ("a", "b"), (-1.0, -1.0), 0, is_right=False)
    assert foretold([tie], draws=5, seed=0)[0].n_units == 0
