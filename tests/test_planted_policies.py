"""Planted policies: enough, of every kind, different, and with both outcomes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scrutable.evaluators.behaviours.planted import planted_policies, true_explanation, unrelated
from scrutable.pipeline.behaviours.inputs import make_inputs
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.errors import ConfigError

POLICIES = planted_policies()
POOL = make_inputs(POLICIES[0], folder=Path(), seed=0)
DONE = {p.name: [outcome_of(read_policy(p.policy), one.text) for one in POOL] for p in POLICIES}


def test_there_are_at_least_twenty_of_five_kinds() -> None:
    kinds = Counter(policy.kind for policy in POLICIES)
    assert sum(kinds.values()) >= 20
    assert set(kinds) == {"feature", "conjunction", "exception", "sum", "position"}
    assert min(kinds.values()) >= 4


@pytest.mark.parametrize("name", DONE)
def test_both_outcomes_occur_often_enough_to_be_predicted(name: str) -> None:
    counts = Counter(DONE[name])
    assert set(counts) == {"grant", "deny"}
    assert min(counts.values()) >= 0.2 * len(POOL)


def test_no_two_are_nearly_the_same_rule() -> None:
    names = list(DONE)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            agree = sum(a == b for a, b in zip(DONE[one], DONE[other], strict=True))
            assert agree < 0.92 * len(POOL), (one, other)


def test_the_null_of_a_rule_says_next_to_nothing_of_it() -> None:
    nulls = unrelated(POLICIES, POOL, count=2)
    for name, others in nulls.items():
        assert len(others) == 2
        assert name not in others
        for other in others:
            agree = sum(a == b for a, b in zip(DONE[name], DONE[other], strict=True)) / len(POOL)
            assert 0.25 <= agree <= 0.75


def test_the_truth_is_said_in_english_and_as_a_policy() -> None:
    digits = next(policy for policy in POLICIES if policy.name == "digits")
    assert read_policy(true_explanation(digits, "policy").text) == read_policy(digits.policy)
    english = true_explanation(digits, "english").text
    assert english == 'The answer is "grant" if the text contains a number in digits; otherwise it is "deny".'


@pytest.mark.parametrize("text", ["", "policies: []", "about: x\npolicies: [{name: a}]"])
def test_a_file_that_holds_no_policies_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml: no file of planted policies"):
        planted_policies(str(path))
