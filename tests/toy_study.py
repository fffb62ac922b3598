"""The tables of a small study of behaviours as a run folder holds them; hostile text wherever text can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from scrutable.pipeline.behaviours.records import (
    BASELINES,
    Behaviour,
    CounterfactualScore,
    Edit,
    Forecast,
    Gain,
    GainSummary,
    Input,
    Inputs,
    Loss,
    Observation,
    PolicyCase,
    PolicyResult,
    Prediction,
)
from scrutable.pipeline.behaviours.tables import KINDS, LEVEL, BehaviourTables
from scrutable.pipeline.records import Cost, Explanation, Failure, Language, Split
from scrutable.pipeline.store import RunFolder

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
YES, NO = f"yes {HOSTILE}", "no"
RULE = '"yes" if mentions(word("please")); no otherwise'
READERS = {"rules": "checker", "llm": "reader"}  # explainer → who reads it
LANGUAGES: dict[str, Language] = {"rules": "policy", "llm": "english"}
N_TEST = 70

# What each condition gives to what the subject did, on inputs that surprise and on others.
GIVEN = {"nothing": (0.5, 0.5), "task": (0.2, 0.9), "examples": (0.4, 0.6), "shuffled": (0.3, 0.55)}
OWN = {"llm": (0.75, 0.95), "rules": (0.65, 0.85)}


def write_study(folder: Path, **changes: Sequence[Any]) -> BehaviourTables:
    """Two behaviours: `desk` is explained, `always` is not. Tables in `changes` replace those here."""
    run = RunFolder(folder, level=LEVEL)
    tables: dict[str, Sequence[Any]] = {
        "behaviours": [desk(), always()],
        "inputs": inputs(),
        "observations": observations(),
        "explanations": [explanation(author) for author in READERS],
        "predictions": [prediction()] * 3,
        "forecasts": forecasts(),
        "losses": losses(),
        "gains": gains(),
        "gain_summary": summary(),
        "predicted_edits": edits(),
        "counterfactuals": [counterfactual()],
        "failures": [Failure("desk", "edit", "malformed", f"desk/llm, no edit {HOSTILE}", "editor")],
    }
    for name, rows in (tables | changes).items():
        run.write_records(run.level / f"{name}.parquet", KINDS[name], rows)
    return BehaviourTables(run)


def desk() -> Behaviour:
    return Behaviour(
        id="desk",
        about=f"Is it granted? {HOSTILE}",
        readout="choice",
        outcomes=(YES, NO),
        is_planted=True,
        n_inputs=N_TEST + 5,
        n_sources=12,
        n_unreadable=1,
        rates=(0.25, 0.75),
        label_mass=0.98,
        truth=RULE,
    )


def always() -> Behaviour:
    return replace(
        desk(),
        id="always",
        rates=(1.0, 0.0),
        truth="",
        is_planted=False,
        reason=f"one outcome only {HOSTILE}",
    )


def inputs() -> list[Input]:
    splits: list[Split] = ["explain"] * 3 + ["calibrate"] * 2 + ["test"] * N_TEST
    return [
        Input(f"desk.{i}", "desk", f"source {i % 12}", split, f"text {i} please\n{HOSTILE}")
        for i, split in enumerate(splits)
    ]


def observations() -> list[Observation]:
    """The subject says yes to every fourth; the last test input could not be read."""
    seen = [
        Observation("desk", one.id, "subject", YES if i % 4 == 0 else NO, (0.9, 0.1), 0.0, 0.98)
        for i, one in enumerate(inputs()[:-1])
    ]
    return [*seen, replace(seen[8], model="reader", outcome="not the subject's")]


def explanation(author: str, **changes: Any) -> Explanation:
    is_llm = author == "llm"
    one = Explanation(
        unit="desk",
        explainer=author,
        language=LANGUAGES[author],
        text=f"It is granted to the polite. {HOSTILE}" if is_llm else RULE,
        model=f"big {HOSTILE}" if is_llm else "",
        prompt=f"Explain {HOSTILE}" if is_llm else "",
        reply=f"Sure {HOSTILE}" if is_llm else "",
        shown=("desk.0", "desk.1"),
        cost=Cost(1200, 800, 30) if is_llm else Cost(),
    )
    return replace(one, **changes)


def prediction() -> Prediction:
    return Prediction("desk", "desk.5", "reader", "task", "", (0.5, 0.5), 0.9, cost=Cost(40, 30, 0))


def forecasts() -> list[Forecast]:
    """Of test inputs that could be read; those whose outcome is yes surprise."""
    keys = [("", "nothing", ""), ("reader", "task", "")]
    for author, simulator in READERS.items():
        keys.append(("reader", "examples", f"desk/{author}"))
        keys += [(simulator, "explained", f"desk/{author}"), (simulator, "shuffled", f"other/{author}")]
    outcome = {seen.input: seen.outcome for seen in observations() if seen.model == "subject"}
    found = []
    for one in inputs():
        if one.split != "test" or one.id not in outcome:
            continue
        is_yes = outcome[one.id] == YES
        for simulator, condition, explained in keys:
            given = OWN[explained.partition("/")[2]] if condition == "explained" else GIVEN[condition]
            p = given[0] if is_yes else given[1]
            probabilities = (p, 1 - p) if is_yes else (1 - p, p)
            found.append(
                Forecast(
                    "desk", one.id, simulator, condition, explained, probabilities, -math.log2(p), is_yes
                )
            )
    return found


def losses() -> list[Loss]:
    keys = dict.fromkeys((f.simulator, f.condition, f.explanation.rpartition("/")[2]) for f in forecasts())
    kinds: tuple[Inputs, ...] = ("all", "surprising")
    return [
        Loss(
            behaviour="desk",
            simulator=simulator,
            condition=condition,
            explainer=author,
            inputs=kind,
            bits=0.5,
            accuracy=0.75,
            n_inputs=69 if kind == "all" else 17,
            n_asked=69 if kind == "all" else 17,
            n_sources=12,
            label_mass=0.9 if simulator == "reader" else math.nan,
        )
        for simulator, condition, author in keys
        for kind in kinds
    ]


def gains() -> list[Gain]:
    kinds: tuple[Inputs, ...] = ("all", "surprising")
    return [
        Gain(
            behaviour="desk",
            explainer=author,
            simulator=simulator,
            baseline=baseline,
            inputs=kind,
            bits=bits(author, baseline, kind),
            low=-0.05,
            high=0.9,
            n_inputs=69 if kind == "all" else 17,
            n_sources=12,
            reason="" if math.isfinite(bits(author, baseline, kind)) else f"no input {HOSTILE}",
        )
        for author, simulator in READERS.items()
        for baseline in BASELINES
        if baseline != "consensus"
        for kind in kinds
    ]


def bits(author: str, baseline: str, kind: Inputs) -> float:
    """The explanation of the model is the better one; on surprising inputs one gain is undefined."""
    if (author, baseline, kind) == ("llm", "task", "surprising"):
        return math.nan
    return 0.3 + 0.1 * (author == "llm") + 0.2 * (kind == "surprising") - 0.01 * BASELINES.index(baseline)


def summary() -> list[GainSummary]:
    return [
        GainSummary(
            explainer=one.explainer,
            simulator=one.simulator,
            baseline=one.baseline,
            inputs=one.inputs,
            n_behaviours=3,
            n_defined=1 if math.isfinite(one.bits) else 0,
            n_undefined=1 if math.isfinite(one.bits) else 2,
            n_failed=1,
            bits=one.bits,
            low=0.05,
            high=0.85,
            n_above=1,
            n_below=0,
        )
        for one in gains()
    ]


def edits() -> list[Edit]:
    return [
        Edit(
            "desk", "desk.5", "desk/llm", "inside", f"text 5 now\n{HOSTILE}", NO, YES, (0.8, 0.2), (0.3, 0.7)
        ),
        Edit("desk", "desk.6", "desk/llm", "outside", f"text six please {HOSTILE}", NO, YES),
    ]


def counterfactual() -> CounterfactualScore:
    return CounterfactualScore(
        behaviour="desk",
        explainer="llm",
        simulator="reader",
        n_inside=1,
        precision=0.8,
        precision_low=0.7,
        precision_high=0.9,
        precision_null=0.3,
        n_changed=2,
        coverage=math.nan,
        coverage_low=math.nan,
        coverage_high=math.nan,
        coverage_null=math.nan,
        n_unedited=1,
        reason=f"nothing changed {HOSTILE}",
    )


def policy_result(*, is_passed: bool, simulator: str = "reader") -> PolicyResult:
    return PolicyResult(
        simulator=simulator,
        explainer="truth",
        n_policies=20,
        n_defined=19,
        bits=0.6,
        low=0.5,
        high=0.7,
        share_of_ceiling=0.61,
        shuffled=0.01,
        shuffled_low=-0.01,
        shuffled_high=0.03,
        beats_examples=0.85,
        beats_examples_low=0.64,
        beats_examples_high=0.95,
        is_passed=is_passed,
        reason="" if is_passed else "beats examples for too few",
    )


def policy_case() -> PolicyCase:
    return PolicyCase(
        simulator="reader",
        explainer="truth",
        policy="greeting",
        kind="feature",
        text=f"The answer is {HOSTILE}",
        bits=0.6,
        low=0.5,
        high=0.7,
        over_examples=0.2,
        over_examples_low=0.1,
        over_examples_high=0.3,
        over_shuffled=0.55,
        shuffled=0.05,
        ceiling=0.99,
        accuracy=0.9,
    )
