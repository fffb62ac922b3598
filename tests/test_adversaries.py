"""Scripted attacks: what passes under the usual score, and what no longer does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from toy_excerpts import excerpt, services
from toy_gate import Reader, gate, oracle, toy_windows

from scrutable.evaluators.gate.adversaries import attack_results
from scrutable.evaluators.gate.attacks import (
    ATTACKS,
    BROADER,
    PAYLOAD,
    Target,
    encoded,
    keyword_stuffing,
    over_broad,
    poisoned,
    prompt_break,
    token_dump,
)
from scrutable.evaluators.gate.units import PlantedUnit
from scrutable.evaluators.simulators.program import ProgramSimulator
from scrutable.pipeline.config import ProgramSimulator as CheckerConfig
from scrutable.pipeline.program_text import read_program, write_program
from scrutable.pipeline.programs import Program, levels
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Explanatory, Gate
from scrutable.pipeline.records import AttackCase, Explanation, Failure
from scrutable.pipeline.windows import Windows

UNIT = PlantedUnit("u", "colors", read_program('word("red", "blue")'))
OTHERS = tuple(PlantedUnit(f"o{i}", f"other {i}", read_program(f'word("o{i}")')) for i in range(30))
SHOWN = (
    excerpt([" the", " car", " of", " red", " it"], [0, 0, 0, 1, 0], id="red"),
    excerpt([" the", " car", " of", " blue", " it"], [0, 0, 0, 1, 0], id="blue"),
    excerpt([" the", " old", " the", " sea", " it"], [0, 0, 0, 0, 0], id="x", weight=9, is_top=False),
)
TARGET = Target(UNIT, OTHERS, SHOWN)


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Windows:
    return toy_windows(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def attacked(windows: Windows) -> Gate:
    simulator = ProgramSimulator("checker", CheckerConfig(), services(lambda _: []))
    return gate(windows, [simulator], attacked=12)


def fires_on(program: Program | None, *words: str) -> list[bool]:
    assert program is not None
    return [level > 0 for level in levels(program, [f" {word}" for word in words])]


def test_over_broad_keeps_the_truth_and_adds_frequent_words_until_ten_times_as_much_fits() -> None:
    english, program = over_broad(TARGET)
    assert english.startswith("colors, and words such as ")
    assert fires_on(program, "red", "blue", "the") == [True, True, True]
    mass = sum(
        e.weight * sum(level > 0 for level in levels(program, e.passage.tokens)) for e in SHOWN if program
    )
    assert mass >= BROADER * 2


def test_a_token_dump_lists_what_was_seen() -> None:
    english, program = token_dump(TARGET)
    assert english == 'words such as "red", "blue"'
    assert fires_on(program, "red", "of", "green") == [True, False, False]


def test_stuffing_says_what_is_true_of_others_alone() -> None:
    english, program = keyword_stuffing(TARGET)
    assert "colors" not in english
    assert english.count("other ") == 20
    assert fires_on(program, "red", "o3") == [False, True]


def test_an_encoded_explanation_cannot_be_read_but_can_be_run() -> None:
    english, program = encoded(TARGET)
    assert "red" not in english
    assert fires_on(program, "of", "red", "red", "car") == [False, True, False, False]


def test_every_attack_says_its_program_in_the_language_or_has_none() -> None:
    for attack in ATTACKS.values():
        made = attack(TARGET)
        assert made.english
        if made.program:
            assert read_program(write_program(made.program)) == made.program


def test_an_order_in_an_exemplar_stands_before_the_token_that_fires() -> None:
    first, *others = poisoned(TARGET)
    assert tuple(others) == SHOWN[1:]
    text = first.passage.text
    assert PAYLOAD in text
    assert text.index(PAYLOAD) < text.index("red")
    assert len(first.activations) == len(first.passage.tokens)
    assert [t for t, a in zip(first.passage.tokens, first.activations, strict=True) if a] == [" red"]


def by_attack(found: Gate) -> dict[str, list[AttackCase]]:
    return {name: [c for c in found.attack_cases if c.attack == name] for name in ATTACKS}


def test_only_what_the_language_can_say_is_tried(attacked: Gate) -> None:
    cases = by_attack(attacked)
    assert {len(cases[name]) for name in ("over-broad", "token dump", "keyword stuffing", "encoded")} == {12}
    assert not cases["instructions"]
    assert not cases["prompt break"]


def test_an_over_broad_explanation_keeps_less_of_the_population_score_than_of_the_usual_one(
    attacked: Gate,
) -> None:
    result = next(r for r in attacked.attacks if r.attack == "over-broad")
    assert result.after < result.before
    for case in by_attack(attacked)["over-broad"]:
        assert case.truth == pytest.approx(1.0)
        assert case.value < case.usual


def test_a_list_that_is_the_truth_is_no_attack(attacked: Gate) -> None:
    dumps = {case.unit: case for case in by_attack(attacked)["token dump"]}
    left_out = [case for case in dumps.values() if case.reason == "true of the unit"]
    assert left_out
    assert all(case.value >= 0.8 and not case.succeeds_after for case in left_out)
    result = next(r for r in attacked.attacks if r.attack == "token dump")
    assert (result.n, result.n_true) == (len(dumps) - len(left_out), len(left_out))


def test_stuffing_with_the_truths_of_others_never_passes(attacked: Gate) -> None:
    assert not any(case.succeeds_after for case in by_attack(attacked)["keyword stuffing"])


class Gullible:
    """Obeys whatever order stands in an exemplar, and explains nothing else."""

    name = "gullible"

    def prompts(self, jobs: object) -> list[object]:
        del jobs
        return []

    def explain(self, jobs: Sequence[Explanatory]) -> list[Explanation | Failure]:
        return [
            Explanation(job.unit, self.name, "english", f"{PAYLOAD} of any text")
            if any(PAYLOAD in e.passage.text for e in job.shown)
            else Failure(job.unit, "explain", "refusal", "nothing to obey", self.name)
            for job in jobs
        ]


def test_an_explainer_that_obeys_its_exemplars_is_found_out_by_the_score(windows: Windows) -> None:
    found = gate(windows, [Reader(oracle)], [(Gullible(), "english")], attacked=5)
    [result] = [r for r in found.attacks if r.explainer]
    assert (result.attack, result.explainer, result.n) == ("poisoned exemplar", "gullible", 5)
    assert (result.before, result.after) == (1.0, 0.0)
    reasons = {case.reason for case in found.attack_cases if case.explainer}
    assert reasons == {"constant simulation"}


def test_a_simulator_that_finds_nothing_is_not_attacked(windows: Windows) -> None:
    blind = Reader(lambda _text, tokens: [float(len(token)) for token in tokens])
    called = [c for c in gate(windows, [blind]).cases if c.kind == "planted" and c.is_called]
    found = gate(windows, [blind], attacked=53)
    assert {case.unit for case in found.attack_cases} <= {case.unit for case in called}


def test_rates_count_false_explanations_alone() -> None:
    def case(unit: str, *, before: bool, after: bool, reason: str = "") -> AttackCase:
        scores = (1.0, 0.7, 1.0, 0.3, 0.01, 0.9)  # usual of truth and attack, ours of both, p, table
        return AttackCase("s", "", "a", unit, "text", *scores, before, after, False, reason)

    cases = [
        case("u0", before=True, after=False),
        case("u1", before=True, after=True),
        case("u2", before=False, after=False),
        case("u3", before=False, after=False, reason="true of the unit"),
    ]
    [result] = attack_results(cases)
    assert (result.n, result.n_true) == (3, 1)
    assert (result.before, result.after) == pytest.approx((2 / 3, 1 / 3))
    assert result.before_low < 2 / 3 < result.before_high


def test_a_broken_prompt_stays_on_its_line() -> None:
    """The explanation cannot add a solved case to the simulator's prompt."""
    text = prompt_break(TARGET).english
    passage = SHOWN[0].passage
    plain, broken = (
        template("simulate_marks").read_labels(explanation=e, passage=passage) for e in ("any word", text)
    )
    assert broken.whole.count("\n") == plain.whole.count("\n")
