"""The author's writing as a behaviour: what can be said of it without looking into the author.

The next author writes, as one procedure, how the first one arrives at its explanations. A chooser that is
given the procedure must then find the author's own text among others, also after the author has written again
on edited exemplars; a procedure written from exchanged explanations must not help as much (SCIENCE.md 2.7).
No weights are read, so this is also what is left for an author with text-only access.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scrutable.pipeline.markup import highlighted, strongest_tokens
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Ask, Explainer, Explanatory
from scrutable.pipeline.records import CallFailure, Cost, Excerpt, Explanation, Prompt
from scrutable.pipeline.recursion.config import WritingConfig
from scrutable.pipeline.recursion.records import EDITS, GUIDES, Choice, Edit, Guide, Procedure
from scrutable.pipeline.words import split_words

_HIGHLIGHT, _TOPS, _CANDIDATES = 0.5, 8, 4
_LEVEL = 1


class Pair(NamedTuple):
    """What the author was shown of a unit, strongest first, and what it wrote."""

    unit: str
    shown: tuple[Excerpt, ...]
    text: str


class Writing(NamedTuple):
    """Pairs that a procedure may be written from, and those on which it is tried; no unit is in both."""

    told: tuple[Pair, ...]
    held_out: tuple[Pair, ...]


def writing_of(
    explanations: Mapping[str, Explanation],
    excerpts: Mapping[str, Sequence[Excerpt]],
    config: WritingConfig,
    *,
    seed: int,
) -> Writing:
    """The author's texts, split in halves by a seeded hash of the unit."""
    pairs = [
        Pair(unit, tuple(e for e in excerpts[unit] if e.split == "explain" and e.is_top), written.text)
        for unit, written in explanations.items()
    ]
    ordered = sorted(pairs, key=lambda p: hashlib.sha256(f"{seed}/writing/{p.unit}".encode()).hexdigest())
    half = (len(ordered) + 1) // 2
    return Writing(tuple(ordered[:half][: config.pairs]), tuple(ordered[half:][: config.units]))


def edited(
    shown: Sequence[Excerpt], edit: Edit, other: Sequence[Excerpt], *, seed: int
) -> tuple[Excerpt, ...]:
    """The exemplars, strongest first, after an edit; `other` are those of another unit."""
    if edit == "swap_top":
        return (*other[:1], *shown[1:])
    if edit == "permute":
        turn = 1 + int(np.random.default_rng(seed).integers(max(len(shown) - 1, 1)))
        return (*shown[turn:], *shown[:turn])  # never the order that it was
    if edit == "drop_one":
        return tuple(shown[1:])
    return tuple(shown)


def procedures(
    pairs: Sequence[Pair], ask: Ask, config: WritingConfig, *, author: str, writer: str
) -> dict[Guide, Procedure]:
    """One written from the pairs as they are, and one from the same with the explanations moved on by one."""
    moved = [
        pair._replace(text=other.text) for pair, other in zip(pairs, [*pairs[1:], *pairs[:1]], strict=True)
    ]
    kinds: dict[Guide, Sequence[Pair]] = {"own": pairs, "shuffled": moved}
    prompts = [_procedure_prompt(some, config) for some in kinds.values()]
    found: dict[Guide, Procedure] = {}
    for kind, answer in zip(kinds, ask(prompts), strict=True):
        text, reason = ("", answer.detail) if isinstance(answer, CallFailure) else (answer.text.strip(), "")
        found[kind] = Procedure(
            level=_LEVEL,
            kind=kind,
            author=author,
            writer=writer,
            text=text,
            shown=tuple(pair.unit for pair in pairs),
            prompt_digest=template(config.prompt).digest,
            cost=Cost() if isinstance(answer, CallFailure) else answer.cost,
            reason=reason or ("" if text else "the reply is empty") or _alike(kind, kinds),
        )
    return found


FOLLOWERS: Mapping[Guide, str] = {"own": "follower-own", "shuffled": "follower-shuffled"}
"""Procedure → the explainer that follows it in the author's place; the second is the control of the first."""


def _alike(kind: Guide, kinds: Mapping[Guide, Sequence[Pair]]) -> str:
    """Why a shuffled procedure is no control: nothing changed places."""
    is_same = [pair.text for pair in kinds["own"]] == [pair.text for pair in kinds["shuffled"]]
    return "the explanations that changed places are all alike" if kind == "shuffled" and is_same else ""


def _procedure_prompt(pairs: Sequence[Pair], config: WritingConfig) -> Prompt:
    shown = [
        {**_records(pair.shown[: config.excerpts]), "explanation": pair.text} for pair in pairs if pair.shown
    ]
    return template(config.prompt).generate(max_tokens=config.max_tokens, pairs=shown)


def choices(
    writing: Writing,
    author: Explainer,
    chooser: Ask,
    guides: Mapping[Guide, Procedure],
    config: WritingConfig,
    *,
    seed: int,
) -> list[Choice]:
    """The author writes again on every edit of every held-out unit, and the chooser looks for its text."""
    asked: list[tuple[Pair, Edit, tuple[Excerpt, ...]]] = []
    for number, pair in enumerate(writing.held_out):
        other = writing.held_out[(number + 1) % len(writing.held_out)].shown
        asked += [(pair, edit, edited(pair.shown, edit, other, seed=seed + number)) for edit in EDITS]
    answers = author.explain([Explanatory(pair.unit, shown) for pair, _, shown in asked])
    found: list[Choice] = []
    for (pair, edit, shown), answer in zip(asked, answers, strict=True):
        if isinstance(answer, Explanation):
            options, truth = _candidates(pair, answer.text, writing, seed=seed)
            found += _chosen(pair, edit, shown, options, truth, chooser, guides, config)
        else:
            reason = f"the author wrote nothing: {answer.detail}"
            found += [_unasked(pair, edit, guide, reason) for guide in GUIDES]
    return found


def _candidates(pair: Pair, text: str, writing: Writing, *, seed: int) -> tuple[tuple[str, ...], int]:
    """The author's text among different ones of other units, in a seeded order, and its place."""
    others = list(dict.fromkeys(p.text for p in writing.held_out if p.unit != pair.unit and p.text != text))
    rng = np.random.default_rng([seed, *pair.unit.encode()])
    some = [others[place] for place in rng.permutation(len(others))[: _CANDIDATES - 1].tolist()]
    truth = int(rng.integers(len(some) + 1))
    return (*some[:truth], text, *some[truth:]), truth


def _chosen(
    pair: Pair,
    edit: Edit,
    shown: Sequence[Excerpt],
    options: tuple[str, ...],
    truth: int,
    chooser: Ask,
    guides: Mapping[Guide, Procedure],
    config: WritingConfig,
) -> list[Choice]:
    if len(options) < 2:
        return [_unasked(pair, edit, guide, "all explanations are alike") for guide in GUIDES]
    found = [
        _unasked(pair, edit, guide, f"no procedure: {guides[guide].reason}")
        for guide in GUIDES
        if guide in guides and guides[guide].reason
    ]
    asked = [guide for guide in GUIDES if guide not in {choice.procedure for choice in found}]
    prompts = [
        template(config.simulator.prompt).choose(
            [f" {option}" for option in options],
            procedure=guides[guide].text if guide in guides else "",
            candidates=options,
            **_records(tuple(shown)),
        )
        for guide in asked
    ]
    for guide, answer in zip(asked, chooser(prompts), strict=True):
        if isinstance(answer, CallFailure):
            found.append(_unasked(pair, edit, guide, answer.detail))
            continue
        values = answer.label_logprobs[0] if answer.label_logprobs else ()
        if len(values) != len(options) or any(math.isnan(value) for value in values):
            found.append(_unasked(pair, edit, guide, "an answer without a number for each explanation"))
            continue
        is_right = all(values[truth] > value for place, value in enumerate(values) if place != truth)
        found.append(Choice(_LEVEL, pair.unit, guide, edit, len(options), options, values, truth, is_right))
    return found


def _unasked(pair: Pair, edit: Edit, guide: Guide, reason: str) -> Choice:
    return Choice(_LEVEL, pair.unit, guide, edit, 0, (), (), -1, is_right=False, reason=reason)


def _records(shown: Sequence[Excerpt]) -> dict[str, object]:
    return {
        "excerpts": [highlighted(excerpt, share=_HIGHLIGHT) for excerpt in shown],
        "tops": strongest_tokens(shown, share=_HIGHLIGHT, count=_TOPS),
    }


def traits_of(text: str, shown: Sequence[Excerpt]) -> dict[str, float]:
    """Copy rate in [0, 1], length in words, and whether the strongest word is named, 0 or 1.

    A text without words has no copy rate: NaN.
    """
    words = [word.strip().casefold() for word in split_words(text) if any(c.isalnum() for c in word)]
    seen = {token.strip().casefold() for excerpt in shown for token in excerpt.passage.tokens}
    strongest = strongest_tokens(shown, share=_HIGHLIGHT, count=1)
    copied = sum(word in seen for word in words)
    return {
        "copy_rate": copied / len(words) if words else math.nan,
        "length": float(len(words)),
        "names_strongest": float(bool(strongest) and strongest[0].casefold() in words),
    }
