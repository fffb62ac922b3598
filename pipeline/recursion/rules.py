"""The rule table: what a ledger says of the paper's hypotheses, by thresholds fixed in the config.

SCIENCE.md 2.6. Pure; no sentence here is written by a model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from scrutable.pipeline.recursion.config import RulesConfig
from scrutable.pipeline.recursion.records import Effect, LedgerRow, Replica, Ruling

Outcome = Literal["supports", "against", "stuck", "no information"]

QUESTIONS = {
    "H1": "Explainer regress: must the explainer be justified before its explanations are accepted?",
    "H2": "Conservation: is inscrutability only moved up?",
    "H3": "Scale regress: is it harder to explain, level by level?",
    "H4": "The dilemma: is every readable explainer unfaithful, and every faithful one opaque?",
    "H5": "Opacity needed: can nothing readable stand in for the explainer?",
}


def rule(
    ledger: Sequence[LedgerRow],
    *,
    ladder: str,
    worth: Mapping[str, float],
    readable: Sequence[str],
    replicas: Sequence[Replica],
    rules: RulesConfig,
) -> tuple[Ruling, ...]:
    """One ruling for each hypothesis about one ladder, from its strict rows on the sampled corpus.

    H3 is a matter of a matrix: see `rule_scale`.

    Args:
        ledger: rows of all ladders.
        ladder: the one that is ruled on.
        worth: explainer → mean excess correlation at the first level.
        readable: explainers among them that are programs or tables.
        replicas: stand-ins for the first author.
        rules: thresholds.
    """
    rows = [r for r in ledger if (r.ladder, r.tier, r.corpus) == (ladder, "strict", "sampled")]
    found = {
        "H1": _regress(rows, rules),
        "H2": _conservation(rows, rules),
        "H3": _ONE_LADDER,
        "H4": _dilemma(worth, readable, rules),
        "H5": _replaced(replicas, rules),
    }
    return tuple(Ruling(ladder, name, QUESTIONS[name], *verdict) for name, verdict in found.items())


def _regress(rows: Sequence[LedgerRow], rules: RulesConfig) -> tuple[Outcome, str]:
    if (nothing := _too_little(rows, "v", rules)) is not None:
        return nothing
    first = rows[0]
    if first.v_low > rules.regress_refuted:
        return "against", f"{_share('v', first)} at level 1: that much of the worth needs no model at all"
    known = [row for row in rows[:2] if not math.isnan(row.v)]
    if len(known) == 2 and all(row.v_high < rules.regress_supported for row in known):
        return "supports", f"{_share('v', known[0])} at level 1 and {_share('v', known[1])} at level 2"
    why = f"{_share('v', first)} at level 1"
    if len(known) < 2:
        why += ", and no v at level 2"
    return "no information", why


def _conservation(rows: Sequence[LedgerRow], rules: RulesConfig) -> tuple[Outcome, str]:
    if (nothing := _too_little(rows, "unresolved", rules)) is not None:
        return nothing
    if len(rows) < 2:
        return "no information", "the ladder has one level; U at depth 2 is wanted"
    first, second = rows[0], rows[1]
    why = (
        f"{_share('unresolved', second)} after level 2; at level 1 passed up {first.passed_up:.2f}, "
        f"stranded {first.stranded:.2f}"
    )
    if second.unresolved_high < rules.released:
        return "against", why
    if second.unresolved_low > rules.conserved:
        if first.passed_up > first.stranded:
            return "supports", why
        return "stuck", f"{why}: trust does not even move up, it is stranded in the author"
    return "no information", why


_ONE_LADDER: tuple[Outcome, str] = (
    "no information",
    "in one ladder level, size and family are one variable; configs/matrix.yaml with ladders parts them",
)


def rule_scale(effects: Sequence[Effect], *, matrix: str, rules: RulesConfig) -> Ruling:
    """H3, from the regression over a matrix and its ladders.

    Args:
        effects: the coefficients.
        matrix: its name.
        rules: thresholds.
    """
    return Ruling(matrix, "H3", QUESTIONS["H3"], *_scale(effects, rules))


def _scale(effects: Sequence[Effect], rules: RulesConfig) -> tuple[Outcome, str]:
    slope = next((effect for effect in effects if effect.term == "level"), None)
    if slope is None or slope.reason:
        return "no information", f"no slope over levels: {slope.reason if slope else 'no matrix was run'}"
    if math.isnan(slope.low):
        return "no information", "the slope over levels has no interval"
    why = f"slope {slope.value:+.3f} [{slope.low:+.3f}, {slope.high:+.3f}] a level"
    if slope.high < -rules.flat:
        return "supports", why
    return ("against", why) if slope.low > -rules.flat else ("no information", why)


def _dilemma(worth: Mapping[str, float], readable: Sequence[str], rules: RulesConfig) -> tuple[Outcome, str]:
    known = {name: value for name, value in worth.items() if not math.isnan(value)}
    plain = {name: value for name, value in known.items() if name in readable}
    if not plain or len(plain) == len(known):
        return "no information", "readable and opaque explainers have to be compared on the same units"
    best, near = max(known, key=lambda n: (known[n], n)), max(plain, key=lambda n: (plain[n], n))
    if known[best] <= 0:
        return "no information", f"the best explainer ({best}) is not above its null"
    why = f"best {best} {known[best]:+.3f}, best readable {near} {plain[near]:+.3f} (excess correlation)"
    return ("against" if plain[near] >= known[best] - rules.near_best else "supports"), why


def _replaced(replicas: Sequence[Replica], rules: RulesConfig) -> tuple[Outcome, str]:
    known = [replica for replica in replicas if not math.isnan(replica.s)]
    if not known:
        return "no information", replicas[0].reason if replicas else "no replica of the author was built"
    best = max(known, key=lambda replica: replica.s)
    why = f"{best.replica} keeps {best.s:.2f} [{best.low:.2f}, {best.high:.2f}] of the gain"
    if best.low > rules.replaced:
        return "against", why
    return ("supports" if best.high < rules.irreplaceable else "no information"), why


def _too_little(rows: Sequence[LedgerRow], share: str, rules: RulesConfig) -> tuple[Outcome, str] | None:
    if not rows:
        return "no information", "the ledger is empty"
    first = rows[0]
    low, high = getattr(first, f"{share}_low"), getattr(first, f"{share}_high")
    if first.n_roots < rules.fewest_claims:
        return "no information", f"{first.n_roots} gated claims, fewer than {rules.fewest_claims}"
    if math.isnan(low) or high - low > rules.widest:
        return "no information", first.reason or f"the interval of {share} is wider than {rules.widest:g}"
    return None


def _share(name: str, row: LedgerRow) -> str:
    symbol = {"v": "v", "unresolved": "U"}[name]
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return f"{symbol} = {value:.2f} [{low:.2f}, {high:.2f}]"
