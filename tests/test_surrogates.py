"""Trees and rule lists: planted rules are found, programs say what the search meant, budgets are kept."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt

from scrutable.pipeline.description import program_bits
from scrutable.pipeline.features import Features, readable_features
from scrutable.pipeline.program_text import read_program, write_program
from scrutable.pipeline.programs import After, Not, Program, Shape, Test, Text, Within, fires, levels
from scrutable.pipeline.records import Excerpt
from scrutable.pipeline.rule_lists import best_rule_list, rule_lists
from scrutable.pipeline.surrogates import Clause, Sized, largest_within, to_level, write_clauses
from scrutable.pipeline.trees import trees

TEXT = "the cat dog fish ran NASA IBM USA , . ; of to red blue house seven 12 1987 Paris London old"
ATOMS: list[Test] = [
    Shape("upper"),
    Shape("digit"),
    Text("word", ("cat",)),
    Text("word", ("dog",)),
    Text("ends", ("n",)),
    After(Shape("punctuation")),
    After(Text("word", ("the",))),
    Within(2, Text("word", ("the",))),
]
LITERALS = st.sampled_from([*ATOMS, *(Not(atom) for atom in ATOMS)])
CLAUSES = st.lists(
    st.builds(Clause, st.lists(LITERALS, max_size=3).map(tuple), st.integers(0, 9)), max_size=7
)


def texts(count: int, *, seed: int) -> list[list[str]]:
    source = random.Random(seed)
    return [[" " + source.choice(TEXT.split()) for _ in range(30)] for _ in range(count)]


def unit(rule: str, *, count: int = 25, seed: int = 0) -> list[Excerpt]:
    """Random text, and a unit whose activation is a program's level, in no particular unit of measure."""
    program = read_program(rule)
    return [
        excerpt(tokens, [0.3 * level for level in levels(program, tokens)], id=f"e{i}", n_context=2)
        for i, tokens in enumerate(texts(count, seed=seed))
    ]


def tree(features: Features, bits: float) -> Sized | None:
    return largest_within(trees(features), bits)


def rules(features: Features, bits: float) -> Sized | None:
    return best_rule_list(rule_lists(features, bits=bits), bits=bits)


def agreement(program: Program, rule: str) -> float:
    """Correlation with the planted rule on text that was not seen."""
    fresh = texts(20, seed=99)
    found = [level for tokens in fresh for level in levels(program, tokens)]
    truth = [level for tokens in fresh for level in levels(read_program(rule), tokens)]
    return float(np.corrcoef(found, truth)[0, 1])


@pytest.mark.parametrize("fit", [tree, rules])
@pytest.mark.parametrize(
    "rule",
    [
        'word("cat", "fish", "red")',
        "upper and not after(punctuation)",
        '9: word("cat"); 4: digit',
        '9: upper and after(word("the")); 4: word("of", "to")',
    ],
)
def test_a_planted_rule_is_found(fit: type[object], rule: str) -> None:
    sized = fit(readable_features(unit(rule)), 400)  # type: ignore[call-arg]
    assert isinstance(sized, Sized)
    assert agreement(sized.program, rule) > 0.99


@pytest.mark.parametrize("fit", [tree, rules])
def test_two_levels_come_out_as_two_levels(fit: type[object]) -> None:
    sized = fit(readable_features(unit('9: word("cat"); 4: digit')), 100)  # type: ignore[call-arg]
    assert isinstance(sized, Sized)
    assert levels(sized.program, [" cat", " 12", " dog"]) == [9, 4, 0]


@pytest.mark.parametrize("fit", [tree, rules])
def test_programs_keep_to_their_budget_and_can_be_read_back(fit: type[object]) -> None:
    features = readable_features(unit('9: upper; 4: word("of", "to"); 2: after(digit)'))
    for bits in (10, 20, 40, 80, 160, 320):
        sized = fit(features, bits)  # type: ignore[call-arg]
        if isinstance(sized, Sized):
            assert program_bits(sized.program) == sized.bits <= bits
            assert read_program(write_program(sized.program)) == sized.program
        else:
            assert bits < 40


@pytest.mark.parametrize("fit", [tree, rules])
def test_the_same_excerpts_give_the_same_program(fit: type[object]) -> None:
    excerpts = unit('9: upper; 4: word("of", "to")', count=8)
    assert fit(readable_features(excerpts), 200) == fit(readable_features(excerpts), 200)  # type: ignore[call-arg]


@pytest.mark.parametrize("fit", [tree, rules])
@pytest.mark.parametrize("excerpts", [[], [excerpt([" a", " b"] * 9, [0.0] * 18)]], ids=["none", "silent"])
def test_a_unit_with_nothing_to_tell_apart_has_no_program(fit: type[object], excerpts: list[Excerpt]) -> None:
    assert fit(readable_features(excerpts), 1000) is None  # type: ignore[call-arg]


def test_larger_trees_follow_smaller_ones() -> None:
    grown = list(trees(readable_features(unit('9: upper; 4: word("of", "to"); 2: after(digit)'))))
    assert len(grown) > 1
    assert grown[0].bits < grown[-1].bits


def test_what_an_excerpt_stands_for_decides_what_is_found() -> None:
    cats = [replace(e, weight=100.0) for e in unit('word("cat")', count=6)]
    houses = unit('word("house")', count=6, seed=1)
    sized = rules(readable_features([*cats, *houses]), 40)
    assert sized is not None
    assert levels(sized.program, [" cat", " house"]) == [9, 0]


# writing


@given(CLAUSES)
def test_a_program_gives_each_token_the_level_of_its_first_clause(clauses: list[Clause]) -> None:
    tokens = texts(1, seed=5)[0]
    expected = [
        next((c.level for c in clauses if all(fires(test, tokens)[t] for test in c.tests)), 0)
        for t in range(len(tokens))
    ]
    sized = write_clauses(clauses)
    if sized is None:
        assert len(set(expected)) == 1
    else:
        assert levels(sized.program, tokens) == expected
        assert sized.bits == program_bits(sized.program)


def test_neighbours_of_one_level_become_one_rule_with_one_list_of_words() -> None:
    clauses = [Clause((Text("word", (word,)),), 9) for word in ("cat", "dog")] + [Clause((), 0)]
    sized = write_clauses(clauses)
    assert sized is not None
    assert write_program(sized.program) == 'word("cat", "dog")'


def test_denied_tests_are_denied_together() -> None:
    digit, upper = Shape("digit"), Shape("upper")
    sized = write_clauses([Clause((Not(digit), After(upper), Not(upper)), 5)])
    assert sized is not None
    assert write_program(sized.program) == "5: after(upper) and not (digit or upper)"


def test_clauses_of_no_level_are_no_program() -> None:
    assert write_clauses([]) is None
    assert write_clauses([Clause((Shape("digit"),), 0), Clause((), 0)]) is None
    assert write_clauses([Clause((), 7)]) is None


def test_levels_run_from_nothing_to_the_highest_mean() -> None:
    assert [to_level(mean, 3.0) for mean in (-1.0, 0.0, 0.1, 1.5, 3.0)] == [0, 0, 0, 4, 9]
    assert to_level(0.0, 0.0) == 0


@given(st.lists(st.integers(1, 100), max_size=12), st.integers(0, 120))
def test_the_largest_that_fits_is_taken(sizes: list[int], bits: int) -> None:
    programs = [Sized(read_program(f"{level % 10}: digit"), size) for level, size in enumerate(sorted(sizes))]
    fitting = [sized.bits for sized in programs if sized.bits <= bits]
    found = largest_within(iter(programs), bits)
    assert (found.bits if found else None) == (max(fitting) if fitting else None)


def test_what_is_far_too_long_is_not_made() -> None:
    endless = (Sized(read_program("digit"), float(bits)) for bits in itertools.count())
    assert largest_within(endless, 10) is not None
