"""The tables of a small study of recursion as a run folder holds them; hostile text wherever text can be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from scrutable.pipeline.recursion.records import (
    Cause,
    Ceiling,
    Claim,
    Effect,
    Gated,
    Job,
    KnownLadder,
    LedgerRow,
    MatrixCell,
    Overlap,
    Patch,
    Proxy,
    Replica,
    Ruling,
    SecondReading,
    Stop,
    Substitution,
    Transfer,
)
from scrutable.pipeline.recursion.tables import KINDS, LEVEL, RecursionTables
from scrutable.pipeline.store import RunFolder

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
NAN = math.nan
LLM, TREE = f"llm ladder {HOSTILE}", "tree ladder"
ROOT, OTHER = "L1.N7.pos", "L3.N2.pos"
REASON = f"no claim could be followed {HOSTILE}"


def write_tables(folder: Path, **changes: Sequence[Any]) -> RecursionTables:
    """An LLM ladder of three levels and one that ends on a tree. Tables in `changes` replace those here."""
    run = RunFolder(folder, level=LEVEL)
    tables: dict[str, Sequence[Any]] = {
        "jobs": [job(ROOT), job(OTHER, gap=NAN, is_gated=False, reason=f"the gap is 1.2 nats {HOSTILE}")],
        "patches": patches(),
        "causes": [cause()],
        "substitutions": substitutions(),
        "proxies": [
            Proxy(1, f"large {HOSTILE}", "small", 12, 0.3, 0.1, 0.05, 0.4, 0.2),
            Proxy(2, "large", "small", 1, NAN, NAN, NAN, NAN, NAN, f"1 jobs {HOSTILE}"),
        ],
        "claims": claims(),
        "ledger": ledger(),
        "transfers": transfers(),
        "ceilings": [ceiling(8, 0.4), ceiling(8, 0.6), ceiling(32, NAN)],
        "overlaps": [Overlap(1, "content", 12, 0.05, 0.12), Overlap(1, "format", 1, NAN, NAN)],
        "gated": [Gated(LLM, 1, f"gain not above 0 {HOSTILE}", 14, 0.35)],
        "rulings": rulings(),
        "known_ladders": [known("planted program", is_passed=True)],
        "replicas": [Replica(1, f"template {HOSTILE}", "a list of words", 30, 0.2, 0.1, 0.5, 0.3, 0.7)],
        "second_readings": [
            SecondReading(1, f"paraphrase-1 {HOSTILE}", "small", 12, 2, 3, 0.08, 0.4, 0.2, 0.6),
            SecondReading(2, "author", "small", 1, 0, 0, 0.1, NAN, NAN, NAN, f"1 claims {HOSTILE}"),
        ],
        "matrix": matrix(),
        "matrix_effects": [
            Effect("log10 explainer parameters", 0.03, 0.01, 0.05, 240),
            Effect("same model", NAN, NAN, NAN, 0, reason=f"no such cell {HOSTILE}"),
        ],
    }
    for name, rows in (tables | changes).items():
        run.write_records(run.level / f"{name}.parquet", KINDS[name], rows)
    return RecursionTables(folder)


def row(
    ladder: str = LLM,
    level: int = 1,
    *,
    shares: tuple[float, float, float, float] = (0.2, 0.5, 0.25, 0.05),
    tier: Literal["strict", "lenient"] = "strict",
    corpus: Literal["sampled", "shifted"] = "sampled",
    weight: float = 1.0,
    unresolved: float = 0.8,
    trusted: str = "qwen-1.5b",
    parameters: float = 1.5e9,
    **changes: Any,
) -> LedgerRow:
    """A row whose intervals reach a tenth to either side."""
    names = ("discharged", "stranded", "passed_up", "open")
    values: dict[str, Any] = dict(zip(names, shares, strict=True))
    for name in names[:3]:
        values |= {f"{name}_low": values[name] - 0.1, f"{name}_high": values[name] + 0.1}
    values |= {"v": shares[0], "v_low": shares[0] - 0.1, "v_high": shares[0] + 0.1}
    values |= {"r": 0.6, "r_low": 0.5, "r_high": 0.7, "coverage": 0.83}
    values |= {"substitution": 0.4, "substitution_low": 0.2, "substitution_high": 0.6}
    values |= {"unresolved_low": unresolved - 0.05, "unresolved_high": unresolved + 0.05}
    values |= {"author": f"qwen-0.5b {HOSTILE}", "n_claims": 40, "n_followed": 20, "n_roots": 40}
    values |= {"weight_bits": 2.5, "substitution_shuffled": 0.02, "stop": "", "end": ""}
    return LedgerRow(
        **{
            **values,
            "ladder": ladder,
            "level": level,
            "tier": tier,
            "corpus": corpus,
            "weight": weight,
            "unresolved": unresolved,
            "trusted": trusted,
            "parameters": parameters,
            **changes,
        }
    )


def ledger() -> list[LedgerRow]:
    top: dict[str, Any] = {"trusted": "", "parameters": NAN}
    return [
        row(LLM, 1),
        row(LLM, 2, shares=(0.1, 0.7, 0.2, 0.0), weight=0.25, unresolved=0.775, trusted="qwen-1.5b itself"),
        row(
            LLM,
            3,
            shares=(-0.2, 0.9, 0.0, 0.3),
            weight=0.05,
            unresolved=0.785,
            end="loop",
            **top,
            author="q",
        ),
        row(LLM, 1, tier="lenient", shares=(0.5, 0.3, 0.15, 0.05), unresolved=0.5),
        row(LLM, 2, tier="lenient", shares=(0.3, 0.5, 0.2, 0.0), weight=0.15, unresolved=0.455),
        row(LLM, 1, corpus="shifted", shares=(0.1, 0.6, 0.25, 0.05), unresolved=0.9),
        row(
            TREE,
            1,
            shares=(1.0, 0.0, 0.0, 0.0),
            unresolved=0.0,
            trusted="tree",
            parameters=0.0,
            author="tree",
            stop="foundation",
        ),
        undefined("planted, undefined"),
    ]


def undefined(ladder: str) -> LedgerRow:
    nans = ("v", "v_low", "v_high", "r", "r_low", "r_high", "coverage", "substitution_shuffled")
    intervals = [f"{n}_{end}" for n in ("discharged", "stranded", "passed_up") for end in ("low", "high")]
    others = ["substitution", "substitution_low", "substitution_high", "unresolved_low", "unresolved_high"]
    missing: dict[str, Any] = dict.fromkeys((*nans, *intervals, *others), NAN)
    return row(
        ladder,
        1,
        shares=(NAN, NAN, NAN, NAN),
        unresolved=NAN,
        trusted="unknown-model",
        parameters=NAN,
        author="someone",
        reason=REASON,
        **missing,
    )


def job(unit: str, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "id": f"1/{unit}",
        "level": 1,
        "unit": unit,
        "author": f"qwen-0.5b {HOSTILE}",
        "text": f"words about cities {HOSTILE}",
        "document": "d1",
        "matched": "L3.N9.pos",
        "prompt_ids": tuple(range(210)),
        "counterfactual_ids": tuple(range(210)),
        "reply_ids": (5, 6, 7, 8),
        "spans": (20, 60, 70, 110),
        "n_prefix": 12,
        "seed": 0,
        "precision": "float32",
        "digest": "sha256:ab",
        "likelihood": -14.5,
        "gap": 12.25,
        "content_gap": 10.5,
        "n_content": 3,
        "random_gap": 0.125,
        "is_gated": True,
    }
    return Job(**(values | changes))


def patches() -> list[Patch]:
    id = f"1/{ROOT}"
    prefix = [(1, 0.05), (8, 0.2), (64, 0.5), (210, 0.85), (1024, 1.1)]
    return [
        *(Patch(id, "prefix", n, effect) for n, effect in prefix),
        Patch(id, "random", 210, 0.03),
        Patch(id, "layer_matched", 210, NAN),
        Patch(id, "single", 1, 0.06, unit="L5.N1.pos", attribution=0.08),
        Patch(id, "mlp_exemplars", 0, 0.7),
        Patch(id, "attention_exemplars", 0, NAN),
    ]


def cause(**changes: Any) -> Cause:
    values: dict[str, Any] = {
        "job": f"1/{ROOT}",
        "n_nodes": 210,
        "coverage": 0.85,
        "is_reached": True,
        "random": 0.03,
        "layer_matched": 0.07,
        "rank_agreement": NAN,
        "n_singles": 2,
        "attention": 0.66,
        "attribution_sum": 2.4,
        "content": ("L5.N1.pos", "L6.N2.neg"),
        "format": ("L0.N3.pos",),
    }
    return Cause(**(values | changes))


def substitutions() -> list[Substitution]:
    return [
        Substitution(f"1/{ROOT}", "llm", "trained", "own", 9, 1, 4.0, 1.0),
        Substitution(f"1/{OTHER}", "llm", "trained", "own", 9, 0, 6.0, 3.0),
        Substitution("1/L9.N9.pos", "llm", "trained", "own", 2, 0, NAN, NAN),
        Substitution(f"1/{ROOT}", "llm", "trained", "null", 9, 1, 4.0, 0.1),
        Substitution(f"1/{ROOT}", "llm", "trained", "mean", 9, 1, 0.0, 0.1),
    ]


def claim(unit: str, *, level: int = 1, parent: str = "", stop: Stop = "", **changes: Any) -> Claim:
    values: dict[str, Any] = {
        "id": f"{parent}>{level}/{unit}" if parent else f"{level}/{unit}",
        "ladder": LLM,
        "level": level,
        "root": f"1/{ROOT}",
        "parent": parent,
        "unit": unit,
        "author": f"qwen {HOSTILE}",
        "text": f"words about cities {HOSTILE}",
        "share": 1.0,
        "gain": 0.02,
        "gain_strict": 0.005,
        "gain_lenient": 0.01,
        "gain_shifted": NAN,
        "gain_strict_shifted": NAN,
        "gap": 12.0,
        "effect": 10.0,
        "lost": 4.0,
        "restored": 1.0,
        "restored_null": 0.0,
        "restored_shuffled": 0.1,
        "stop": stop,
    }
    return Claim(**(values | changes))


def claims() -> list[Claim]:
    first = f"1/{ROOT}"
    return [
        claim(ROOT),
        claim("L5.N1.pos", level=2, parent=first, share=0.75, text=f"digits {HOSTILE}"),
        claim("L0.N4.pos", level=3, parent=f"{first}>2/L5.N1.pos", stop="cut_off", gap=0.0, lost=0.0),
        claim("L6.N2.neg", level=2, parent=first, share=0.25, stop="below_gap", gain_strict=NAN),
        claim(OTHER, root=f"1/{OTHER}", stop="budget"),
    ]


def transfers() -> list[Transfer]:
    return [
        Transfer(1, "llm", "trained", "working", "working", 40, 0.3, 0.25, 0.35),
        Transfer(1, "llm", "trained", "working", "general", 40, 0.1, 0.05, 0.15),
        Transfer(1, "llm", "trained", "general", "general", 40, NAN, NAN, NAN),
    ]


def ceiling(context: int, value: float) -> Ceiling:
    return Ceiling(1, f"L5.N{context}.pos", context, value)


def rulings() -> list[Ruling]:
    return [
        Ruling(LLM, "H1", "Must the explainer be justified?", "supports", f"v = 0.02 {HOSTILE}"),
        Ruling(LLM, "H2", "Is inscrutability conserved?", "stuck", "stranded 0.50 > passed up 0.25"),
        Ruling(TREE, "H1", "Must the explainer be justified?", "no information", "12 claims"),
    ]


def known(name: str, *, is_passed: bool, **changes: Any) -> KnownLadder:
    values: dict[str, Any] = {
        "about": f"an explainer that copies {HOSTILE}",
        "share": "discharged",
        "expected": 1.0,
        "value": 0.98,
        "low": 0.95,
        "high": 1.0,
        "n_roots": 24,
        "reason": "" if is_passed else f"off by 0.4 {HOSTILE}",
    }
    return KnownLadder(name=name, is_passed=is_passed, **(values | changes))


def cell(subject: str, explainer: str, value: float, **changes: Any) -> MatrixCell:
    sizes = {"gpt2": 1.24e8, "qwen-0.5b": 5e8, "qwen-1.5b": 1.5e9, "tree": 0.0}
    values: dict[str, Any] = {
        "subject_parameters": sizes.get(subject, NAN),
        "explainer_parameters": sizes.get(explainer, NAN),
        "is_same": subject == explainer,
        "n_units": 60,
        "low": value - 0.05,
        "high": value + 0.05,
        "v": 0.2,
    }
    return MatrixCell(subject=subject, explainer=explainer, value=value, **(values | changes))


def matrix() -> list[MatrixCell]:
    return [
        cell("gpt2", "tree", 0.21),
        cell("gpt2", "qwen-0.5b", 0.12),
        cell("gpt2", "qwen-1.5b", -0.03),
        cell("qwen-0.5b", "tree", 0.09),
        cell("qwen-0.5b", "qwen-0.5b", 0.05),
        cell(f"odd {HOSTILE}", "qwen-1.5b", NAN, v=NAN),
    ]
