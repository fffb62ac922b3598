"""Planted ladders: studies whose ledger is known beforehand, run with the same stages as a real one.

The subject's units are rules, the author is a program that names a concept, its nodes are its concepts, and
what is written of them is found by search: no model is asked, and everything takes about a minute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from scrutable.pipeline.config import RecurseConfig
from scrutable.pipeline.recursion.ledger import Party, keep_ledger
from scrutable.pipeline.recursion.records import Claim, KnownLadder, LedgerRow

CONCEPTS = ('ends("ing")', 'ends("ed")', 'ends("er", "or")', 'ends("ly", "ion")')
_LETTERS = "abcdefghilmnoprstuw"  # what the tokens of a unit begin with
_BROAD = 'ends("ed") or ends("er")'  # what an author with a hidden reason says in its place
_HIDDEN = 'matches(".*(cc|ff|ll|mm|nn|pp|rr|ss|tt).*")'  # a doubled letter: no readable feature says so
_TOLERANCE = 0.1  # how far the estimate may be from the truth where its interval does not reach it

Share = Literal["discharged", "stranded", "passed_up", "gated_out"]


class Planted(NamedTuple):
    """One planted study."""

    name: str
    about: str
    share: Share  # the one whose truth is 1
    config: RecurseConfig
    is_shuffled: bool = False  # substitutions with the explanations of other nodes stand for the own ones


def planted_ladders(*, seed: int) -> tuple[Planted, ...]:
    """The studies; two of them share a config, and so a folder: they differ in what is read from it."""
    opaque = _config("opaque", seed, checker="")
    return (
        Planted(
            "readable",
            "a program writes programs, which the checker runs: nothing has to be trusted",
            "discharged",
            _config("readable", seed, checker="checker"),
        ),
        Planted(
            "explained",
            "nobody checks the texts, but what wrote them is explained exactly",
            "passed_up",
            opaque,
        ),
        Planted(
            "shuffled",
            "the same, with the explanations of other nodes in place of the true ones",
            "stranded",
            opaque,
            is_shuffled=True,
        ),
        Planted(
            "hidden",
            "double letters make the author name a broader concept; no readable feature finds them",
            "stranded",
            _config("hidden", seed, checker="", concepts=(*CONCEPTS, _BROAD), hidden=_HIDDEN, jobs=30),
        ),
        Planted(
            "blind",
            "an author that does not look at the words",
            "gated_out",
            _config("blind", seed, checker="", blind=True),
        ),
    )


def read_known(
    planted: Planted, claims: Sequence[Claim], *, n_written: int, draws: int, seed: int
) -> KnownLadder:
    """What the ledger says of a planted study, beside the truth.

    Passed if the truth lies in the interval or within a tenth of the estimate. The truth of the hidden study
    is not 1: it is the share of the gaps that the hidden reason makes.
    """
    roots = [claim for claim in claims if claim.level == 1]
    if planted.share == "gated_out":
        value = 1 - len(roots) / n_written if n_written else math.nan
        reason = "" if n_written else "nothing was written"
        return KnownLadder(
            planted.name, planted.about, "gated_out", 1.0, value, math.nan, math.nan, len(roots),
            value > 1 - _TOLERANCE, reason,
        )  # fmt: skip
    if planted.is_shuffled:
        roots = [replace(claim, restored=claim.restored_shuffled) for claim in roots]
    if not roots:
        nan = math.nan
        return KnownLadder(
            planted.name, planted.about, planted.share, 1.0, nan, nan, nan, 0, False, "no claim was gated"
        )
    row = keep_ledger(roots, {1: Party("planted", "program", 0.0)}, draws=draws, seed=seed)[0]
    truth = _hidden_share(roots) if planted.name == "hidden" else 1.0
    value, low, high = (getattr(row, f"{planted.share}{end}") for end in ("", "_low", "_high"))
    is_near = abs(value - truth) <= _TOLERANCE or (low <= truth <= high)
    return KnownLadder(
        planted.name, planted.about, planted.share, truth, value, low, high, row.n_roots, is_near, _why(row)
    )


def _hidden_share(roots: Sequence[Claim]) -> float:
    """Of the gaps, the share of jobs in which the broad concept is named: it has a hidden reason."""
    decided = [claim for claim in roots if claim.text == _BROAD]
    return sum(claim.gap for claim in decided) / sum(claim.gap for claim in roots)


def _why(row: LedgerRow) -> str:
    return row.reason or (f"open {row.open:.2f}" if row.open > 0 else "")


def _config(name: str, seed: int, *, checker: str, jobs: int = 14, **author: Any) -> RecurseConfig:
    """A subject of rules that each belong to one concept, and an author that knows the concepts."""
    rules = [f'{concept} and starts("{letter}")' for concept in CONCEPTS for letter in _LETTERS]
    return RecurseConfig.model_validate(
        {
            "job": "recurse",
            "name": name,
            "seed": seed,
            "subject": {"kind": "planted", "rules": rules},
            "corpus": {
                "source": "enwiki-sample",
                "max_tokens": 60_000,
                "max_document_tokens": 1_000,
                "window": 32,
            },
            "units": {"sample": len(rules)},
            "samples": {
                "top": {"explain": 10, "calibrate": 6, "test": 6},
                "per_stratum": {"explain": 8, "calibrate": 12, "test": 12},
            },
            "authors": [{"kind": "planted", "concepts": CONCEPTS} | author, {"kind": "program"}],
            "simulators": {"checker": {"kind": "program"}},
            "scoring": {"nulls": 3, "draws": 400, "budgets": ()},
            "recursion": {
                "depth": 1,
                "simulator": "checker",
                "checker": checker,
                "children": 4,
                "jobs": jobs,  # of which text is left over that the nodes can be explained from
                "contexts": (),
                "general": False,
                "known": False,
                "random_weights": False,
                "gap": 2.0,
                "working": {
                    "skip": 4,
                    "window": 24,
                    "splits": {"explain": 0.4, "calibrate": 0.3, "test": 0.3},
                },
            },
        }
    )
