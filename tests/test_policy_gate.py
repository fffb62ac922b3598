"""Simulators of behaviours on planted policies: those that follow a rule pass, and no others."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from scrutable.evaluators.behaviours.planted import planted_policies
from scrutable.evaluators.behaviours.policy_gate import PolicyTrial
from scrutable.evaluators.behaviours.policy_verdict import policy_results, policy_table
from scrutable.pipeline import load_run
from scrutable.pipeline.behaviours.config import BehaviourScoring, PolicyTestConfig
from scrutable.pipeline.behaviours.policies import outcome_of
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.behaviours.protocols import PredictionJob
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Input, PolicyResult, Prediction
from scrutable.pipeline.records import Explanation, Failure, Language
from scrutable.pipeline.subjects.following import FollowingSubject
from tests.test_study import RULES, write_behaviour, write_study
from tests.toy_run import scrutable

RULE = {policy.name: read_policy(policy.policy) for policy in planted_policies()}
Expect = Callable[[PredictionJob, Input], str]


class Reader:
    """Reads English, as a function says: it knows each rule by the name in the explanation's id."""

    name = "reader"
    language: Language = "english"
    reads_examples = True

    def __init__(self, expect: Expect) -> None:
        self._expect = expect

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def predict(self, jobs: Sequence[PredictionJob]) -> list[Prediction | Failure]:
        return [
            Prediction(
                job.definition.name,
                one.id,
                self.name,
                job.condition,
                job.explanation.id if job.explanation else "",
                certain(job.definition.outcomes, self._expect(job, one)),
                draw=job.draw,
            )
            for job in jobs
            for one in job.inputs
        ]


def follows(job: PredictionJob, one: Input) -> str:
    """Does what an explanation says, and otherwise always the same."""
    if job.condition != "explained" or job.explanation is None:
        return "deny"
    return outcome_of(RULE[job.explanation.unit], one.text)


def ignores(job: PredictionJob, one: Input) -> str:
    """Does the same whatever it is told."""
    del job
    return "grant" if len(one.text) % 2 else "deny"


def copies(job: PredictionJob, one: Input) -> str:
    """Knows the subject from a single example, and cannot read."""
    known = bool(job.examples)
    return outcome_of(RULE[job.definition.name], one.text) if known else "deny"


def tried(expect: Expect, *written: tuple[str, dict[str, Explanation | Failure]]) -> list[PolicyResult]:
    config = PolicyTestConfig(inputs=120, scoring=BehaviourScoring(nulls=2, many_examples=0, draws=100))
    trial = PolicyTrial(config, FollowingSubject, seed=0)
    cases = trial.cases(Reader(expect), written, lambda _done, _total: None)
    return policy_results(cases, seed=0, draws=100)


def test_a_simulator_that_follows_the_rule_passes() -> None:
    (truth,) = tried(follows)
    assert truth.is_passed, truth.reason
    assert truth.share_of_ceiling > 0.8
    assert truth.beats_examples == 1.0
    assert abs(truth.shuffled) < 0.05


def test_a_simulator_that_ignores_what_it_is_told_does_not_and_the_reason_says_why() -> None:
    (truth,) = tried(ignores)
    assert not truth.is_passed
    assert "too weak: the true rule beats as many tokens of examples on" in truth.reason
    assert truth.bits == pytest.approx(0, abs=0.06)


def test_a_simulator_that_learns_more_from_an_example_than_from_the_rule_is_too_weak() -> None:
    (truth,) = tried(copies)
    assert not truth.is_passed
    assert truth.beats_examples == 0.0


def test_an_explainer_is_measured_by_the_share_of_rules_that_it_found() -> None:
    policies = planted_policies()
    half = {
        policy.name: Explanation(policy.name, "half", "english", "...")
        if number % 2
        else Failure(policy.name, "explain", "parse", "no text", "half")
        for number, policy in enumerate(policies)
    }
    truth, found = tried(follows, ("half", half))
    assert (truth.explainer, found.explainer) == ("truth", "half")
    assert found.recovery == pytest.approx(0.5)
    assert found.n_policies - found.n_defined == len(policies) / 2
    assert "half" in policy_table([truth, found])


def test_the_command_tries_the_rule_reader_and_explainers_and_goes_on_where_it_stopped(
    tmp_path: Path,
) -> None:
    command = [
        "selftest",
        "--behaviours",
        "--simulator",
        "policy",
        "--explainer",
        "rules",
        "--runs",
        tmp_path,
    ]
    done = scrutable(*command)
    assert done.returncode == 0, done.stderr
    assert "policy, truth" in done.stdout
    assert "passed" in done.stdout
    again = scrutable(*command)
    assert again.stdout == done.stdout
    assert "explain policies" not in again.stderr


def test_a_study_is_tried_in_its_own_folder_so_that_its_report_can_say_so(tmp_path: Path) -> None:
    names = [write_behaviour(tmp_path, name, policy=rule) for name, rule in RULES.items()]
    assert scrutable("run", write_study(tmp_path, names), "--runs", tmp_path).returncode == 0
    done = scrutable("selftest", tmp_path / "toy", "--behaviours")
    assert done.returncode == 0, done.stderr
    assert "simulator table reads what has no known answers" in done.stderr
    found = load_run(tmp_path / "toy").behaviours
    truth = found.policies[found.policies["explainer"] == "truth"]
    assert dict(zip(truth["simulator"], truth["is_passed"], strict=True)) == {"checker": True}
    assert not math.isnan(truth["bits"].iloc[0])


def test_a_run_without_behaviours_has_nothing_to_try(tmp_path: Path) -> None:
    done = scrutable("selftest", "--behaviours", "configs/selftest.yaml", "--runs", tmp_path)
    assert done.returncode == 2
    assert "needs job: behaviour_selftest" in done.stderr
