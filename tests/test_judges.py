"""Judges put questions whose answers are known; scripted models answer them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from toy_excerpts import excerpt

from scrutable.evaluators.hearings import score_hearing
from scrutable.evaluators.judges import JUDGES
from scrutable.evaluators.judges.causal import CausalJudge, most_moved, nearest
from scrutable.evaluators.judges.detection import DetectionJudge
from scrutable.evaluators.judges.fuzzing import FuzzingJudge
from scrutable.evaluators.judges.generative import GenerativeJudge
from scrutable.evaluators.judges.intruder import IntruderJudge
from scrutable.pipeline import config
from scrutable.pipeline.density import density_of
from scrutable.pipeline.protocols import Effects, Examination, Hearing, Services
from scrutable.pipeline.records import (
    CallFailure,
    Completion,
    Excerpt,
    Explanation,
    Failure,
    Generate,
    Prompt,
    ReadLabels,
    Verdict,
)
from scrutable.pipeline.subjects.planted import PlantedSubject

TRUE, OTHER = Explanation("u", "llm", "english", "colors"), Explanation("v", "llm", "english", "numbers")
Says = Callable[[Prompt], Sequence[float]]
"""A prompt to the probabilities of its labels."""


def excerpts(n: int = 6) -> tuple[Excerpt, ...]:
    """Half of them with " red" in a changing place, firing there; the others silent."""
    found = []
    for i in range(2 * n):
        words = [f" w{i}{t}" for t in range(10)]
        fires = i % 2 == 0
        if fires:
            words[i % 5 + 2] = " red"
        values = [4.0 * (word == " red") for word in words]
        found.append(excerpt(words, values, id=f"e{i:02d}", n_context=1, split="test", weight=1.0 + i))
    return tuple(found)


def services(says: Says, *, seed: int = 0) -> Services:
    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        return [Completion(label_logprobs=(tuple(math.log(p) for p in says(prompt)),)) for prompt in prompts]

    return Services(locate=lambda _: pytest.fail("no files"), ask=lambda _: ask, seed=seed)


def asked(prompt: Prompt) -> tuple[str, str]:
    """The description and the text of the question itself, without the few-shots."""
    question = (*prompt.shared, prompt.text)[-2] + prompt.text
    description = question.split("Description: ")[-1].split("\n")[0]
    return description, prompt.text


def knows_colors(prompt: Prompt) -> Sequence[float]:
    description, text = asked(prompt)
    is_right = "<<red>>" in text if "Right:" in text else "red" in text
    return (0.6, 0.2) if (description == "colors") == is_right else (0.2, 0.6)


def job(*explanations: Explanation, of: tuple[Excerpt, ...] | None = None) -> Examination:
    return Examination("u", explanations, excerpts() if of is None else of)


def verdicts(answers: Sequence[Verdict | Failure]) -> list[Verdict]:
    assert not [a for a in answers if isinstance(a, Failure)]
    return [a for a in answers if isinstance(a, Verdict)]


def auroc(found: Sequence[Verdict]) -> float:
    own = tuple(v for v in found if v.explanation == "u/llm")
    return score_hearing(Hearing("u", "llm", "j", "auroc", own, (), len(own)), seed=0, draws=2).value


def detection(says: Says, **settings: object) -> DetectionJudge:
    return DetectionJudge("j", config.DetectionJudge(model="m", **settings), services(says))  # type: ignore[arg-type]


def fuzzing(says: Says) -> FuzzingJudge:
    return FuzzingJudge("j", config.FuzzingJudge(model="m"), services(says))


@pytest.mark.parametrize("made", [detection, fuzzing])
def test_a_judge_that_understands_the_explanation_tells_the_classes_apart(
    made: Callable[[Says], object],
) -> None:
    found = verdicts(made(knows_colors).judge([job(TRUE, OTHER)]))  # type: ignore[attr-defined]
    assert auroc(found) == 1.0
    of_other = [v for v in found if v.explanation == "v/llm"]
    assert {v.is_null for v in of_other} == {True}
    assert [v.trial for v in of_other] == [v.trial for v in found if v.explanation == "u/llm"]
    assert sum(v.truth for v in of_other) * 2 == len(of_other) == 12
    assert found[0].value == pytest.approx(0.75)
    assert found[0].label_mass == pytest.approx(0.8)


@pytest.mark.parametrize("made", [detection, fuzzing])
def test_a_judge_that_always_says_yes_is_at_chance(made: Callable[[Says], object]) -> None:
    assert auroc(verdicts(made(lambda _: (0.9, 0.1)).judge([job(TRUE)]))) == 0.5  # type: ignore[attr-defined]


def test_counting_marks_tells_nothing_about_which_class_a_fuzzed_text_is_of() -> None:
    """Number and lengths of marks are the same in each pair."""

    def counts(prompt: Prompt) -> Sequence[float]:
        marks = prompt.text.count("<<") + prompt.text.count(">>") / 7
        return marks / 20, 1 - marks / 20

    assert auroc(verdicts(fuzzing(counts).judge([job(TRUE)]))) == 0.5


def test_as_many_excerpts_are_asked_about_of_either_class_and_no_more_than_wanted() -> None:
    of = (*excerpts()[::2][:2], *excerpts()[1::2])
    found = verdicts(detection(knows_colors).judge([job(TRUE, of=of)]))
    assert [v.truth for v in found] == [True, True, False, False]
    assert len(verdicts(detection(knows_colors, per_class=3).judge([job(TRUE)]))) == 6


def test_what_is_neither_firing_nor_silent_is_not_asked_about() -> None:
    weak = excerpt([" a", " b", " c"], [0, 0.6, 0], id="weak", split="test")
    found = verdicts(detection(knows_colors).judge([job(TRUE, of=(*excerpts(), weak))]))
    assert "weak" not in {v.trial for v in found}


@pytest.mark.parametrize("made", [detection, fuzzing])
def test_a_unit_without_a_class_is_a_named_failure_and_the_others_are_judged(
    made: Callable[[Says], object],
) -> None:
    silent = tuple(e for e in excerpts() if not e.max_activation)
    judged = made(knows_colors).judge([job(TRUE, of=silent), job(TRUE)])  # type: ignore[attr-defined]
    (failure,) = [a for a in judged if isinstance(a, Failure)]
    assert (failure.unit, failure.stage, failure.kind, failure.part) == (
        "u",
        "judge",
        "too_few_excerpts",
        "j",
    )
    assert len(judged) == 13


def test_a_call_that_fails_is_a_failure_of_its_question() -> None:
    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        good = Completion(label_logprobs=((-0.1, -3.0),))
        empty = Completion(label_logprobs=((-math.inf, -math.inf),))
        malformed = Completion(label_logprobs=((math.nan, -1.0),))
        return [CallFailure("timeout", "late"), empty, malformed, *[good] * (len(prompts) - 3)]

    made = DetectionJudge(
        "j",
        config.DetectionJudge(model="m"),
        Services(locate=lambda _: pytest.fail("no files"), ask=lambda _: ask, seed=0),
    )
    answers = made.judge([job(TRUE)])
    assert [a.kind for a in answers if isinstance(a, Failure)] == ["timeout", "no_label_mass", "malformed"]
    assert len([a for a in answers if isinstance(a, Verdict)]) == 9


def test_the_questions_depend_on_the_seed_and_not_on_the_order_of_excerpts() -> None:
    def trials(seed: int, of: tuple[Excerpt, ...]) -> list[str]:
        made = DetectionJudge(
            "j", config.DetectionJudge(model="m", per_class=3), services(knows_colors, seed=seed)
        )
        return [v.trial for v in verdicts(made.judge([job(TRUE, of=of)]))]

    assert trials(0, excerpts()) == trials(0, excerpts()[::-1])
    assert trials(0, excerpts()) != trials(1, excerpts())


def intruder(says: Says) -> IntruderJudge:
    return IntruderJudge("j", config.IntruderJudge(model="m", trials=10), services(says))


def finds_intruder(prompt: Prompt) -> Sequence[float]:
    lines = [line for line in prompt.text.splitlines() if line.startswith("Text #")]
    odd = next(i for i, line in enumerate(lines) if " red" not in line)
    return [0.5 if i == odd else 0.05 for i in range(9)]


def test_an_intruder_that_is_found_has_a_positive_margin_and_takes_every_place() -> None:
    found = verdicts(intruder(finds_intruder).judge([job()]))
    assert len(found) == 10
    assert all(v.value == pytest.approx((0.5 - 0.05) / 0.9) for v in found)
    assert {v.explanation for v in found} == {""}
    guessed = verdicts(intruder(lambda _: [0.5] + [0.05] * 8).judge([job()]))
    assert sum(v.value > 0 for v in guessed) == 2  # a fifth: the place goes round


class Subject:
    """Steering a unit promotes its own words; ablating it lowers them."""

    WORDS = (" red", "Red", " blue", " one", " two", ",", " x", " three", " green", " four")

    def effects(self, unit: str, texts: Sequence[str], *, level: float) -> Effects:
        assert texts
        assert level == 12.0  # three times the largest activation
        own = {"u": ("red", "blue", "green"), "v": ("one", "two", "three")}[unit]
        up = np.array([float(w.strip().casefold() in own) + 0.01 * i for i, w in enumerate(self.WORDS)])
        return Effects(self.WORDS, up.astype(np.float32), -up.astype(np.float32))


def causal(says: Says, subject: object) -> CausalJudge:
    made = services(says)._replace(subject=lambda: subject)  # type: ignore[arg-type,return-value]
    return CausalJudge("j", config.CausalJudge(model="m", words=1, trials=4), made)


def two_jobs() -> list[Examination]:
    return [Examination("u", (TRUE, OTHER), excerpts()), Examination("v", (OTHER,), excerpts())]


def test_who_knows_which_words_belong_to_an_explanation_is_right_in_both_orders() -> None:
    def knows(prompt: Prompt) -> Sequence[float]:
        description, _ = asked(prompt)
        first = prompt.text.split("A: ")[1].split("\n")[0]
        is_color = any(color in first.casefold() for color in ("red", "blue", "green"))
        return (0.8, 0.1) if (description == "colors") == is_color else (0.1, 0.8)

    found = verdicts(causal(knows, Subject()).judge(two_jobs()))
    assert len(found) == 12
    by_explanation = {v.explanation: v.value > 0 for v in found if v.unit == "u"}
    assert by_explanation == {"u/llm": True, "v/llm": False}
    assert all(v.value > 0 for v in found if v.unit == "v")


def test_who_always_gives_the_same_letter_is_right_half_of_the_time() -> None:
    found = verdicts(causal(lambda _: (0.9, 0.1), Subject()).judge(two_jobs()))
    assert {v.value for v in found} == {0.0}


def test_a_unit_is_matched_with_the_one_that_fires_about_as_often() -> None:
    assert nearest({"a": 0.001, "b": 0.1, "c": 0.0012, "d": 0.08}) == {"a": "c", "c": "a", "b": "d", "d": "b"}
    assert nearest({"a": 0.5}) == {}


def test_density_is_the_share_of_tokens_for_a_unit_of_one_level_weighted_and_without_context() -> None:
    rare = excerpt(["x", "a", "b"], [9.0, 2.0, 0.0], n_context=1, weight=1.0)
    common = excerpt(["x", "a", "b"], [9.0, 0.0, 0.0], n_context=1, weight=4.0)
    assert density_of([rare, common]) == pytest.approx(1 / 10)
    assert math.isnan(density_of([common]))


def test_words_are_listed_once_in_any_case_and_without_punctuation() -> None:
    moved = most_moved(Subject().effects("u", ["t"], level=12.0), n=4)
    assert len({word.casefold() for word in moved.promoted}) == 4
    assert {"green", "blue"} < set(moved.promoted)
    assert "," not in moved.promoted
    assert moved.promoted == moved.suppressed


def test_a_unit_alone_and_a_subject_without_outputs_are_named_failures() -> None:
    (alone,) = causal(knows_colors, Subject()).judge(two_jobs()[:1])
    assert isinstance(alone, Failure)
    assert alone.kind == "no_matched_unit"
    none = causal(knows_colors, PlantedSubject(["digit"])).judge(two_jobs())
    assert {a.kind for a in none if isinstance(a, Failure)} == {"no_outputs"}


def test_texts_written_from_the_true_explanation_excite_the_unit_and_those_of_others_do_not() -> None:
    def write(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        written = {
            "digits": "It was then so in 1902 or 1903.",
            "anything at all": "It was then so and so again.",
        }
        return [
            Completion(text=" " + written.get(asked(p)[0], "no such thing is here today")) for p in prompts
        ]

    subject = PlantedSubject(["digit"])
    made = Services(
        locate=lambda _: pytest.fail("no files"),
        ask=lambda _: write,
        seed=0,
        subject=lambda: subject,
    )
    judge = GenerativeJudge("j", config.GenerativeJudge(model="m", texts=3), made)
    unit = "L0.N0.pos"
    own, other = Explanation(unit, "llm", "english", "digits"), Explanation("x", "llm", "english", "colors")
    found = verdicts(judge.judge([Examination(unit, (own, other), ())]))
    groups = [tuple(v for v in found if v.explanation == e.id) for e in (own, other)]
    hearing = Hearing(unit, "llm", "j", "auroc", groups[0], (groups[1],), 6)
    scored = score_hearing(hearing, seed=0, draws=10)
    assert (scored.value, scored.null) == (1.0, 0.5)


def test_a_text_that_is_too_short_to_be_run_is_a_failure() -> None:
    made = services(lambda _: (1.0,))._replace(
        ask=lambda _: lambda prompts: [Completion(text=" Short.") for _ in prompts],
        subject=lambda: PlantedSubject(["digit"]),
    )
    judge = GenerativeJudge("j", config.GenerativeJudge(model="m", texts=1), made)
    own = Explanation("L0.N0.pos", "llm", "english", "digits")
    kinds = {a.kind for a in judge.judge([Examination(own.unit, (own,), ())]) if isinstance(a, Failure)}
    assert kinds == {"too_short"}


def test_every_judge_asks_for_what_its_prompt_gives() -> None:
    """A generative judge generates; the others read labels at the end of the prompt."""
    seen: list[Prompt] = []

    def record(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        seen.extend(prompts)
        return [CallFailure("refused", "no")] * len(prompts)

    for kind, judge in JUDGES.items():
        settings = next(m for m in config.__dict__.values() if getattr(m, "__name__", "") == judge.__name__)
        subject: object = Subject() if kind == "causal" else PlantedSubject(["digit"])
        made = Services(
            locate=lambda _: pytest.fail("no files"),
            ask=lambda _: record,
            seed=0,
            subject=lambda subject=subject: subject,  # type: ignore[misc]
        )
        seen.clear()
        judge("j", settings(model="m"), made).judge(two_jobs())
        assert seen, kind
        reads = {Generate if kind == "generative" else ReadLabels}
        assert {type(prompt.read) for prompt in seen} == reads
        for prompt in seen:
            if isinstance(prompt.read, ReadLabels):
                assert prompt.read.positions == (len(prompt.text),)
