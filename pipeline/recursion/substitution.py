"""Explanations put to work: simulated activations in the running author, in place of the true ones.

X says how much of what the nodes do survives when all that is known of them is their explanations
(SCIENCE.md 2.5; Paulo & Belrose 2025 replace a transcoder in the same way). The baseline is not zero but the
node's value under the counterfactual prompt.
Shape key: T tokens of a job's own text, S positions that are run, n nodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from scrutable.pipeline.protocols import SimulationJob, Simulator
from scrutable.pipeline.records import Excerpt, Explanation, Passage, Simulation
from scrutable.pipeline.recursion.config import WorkingConfig
from scrutable.pipeline.recursion.jobs import Traced
from scrutable.pipeline.recursion.protocols import FitMap, Floats, NodePatch, Writer
from scrutable.pipeline.recursion.records import Substitution
from scrutable.pipeline.recursion.working import WorkingText, cuts_of, passage_of

Kind = Literal["own", "null", "shuffled", "mean"]


class Drawn(NamedTuple):
    """A node that was drawn from a job's causal set."""

    unit: str
    calibrate: tuple[Excerpt, ...]
    mean: float  # activation over the working text, raw units


class Reading(NamedTuple):
    """One explainer's explanations of nodes, as one simulator reads them."""

    explainer: str
    simulator: Simulator
    own: Mapping[str, Explanation]  # unit → what was written of it
    null: Mapping[str, Explanation]  # unit → what was written of another one
    shuffled: Mapping[str, Explanation]  # and of yet another


def substitute(
    traced: Traced,
    text: WorkingText,
    nodes: Sequence[Drawn],
    readings: Sequence[Reading],
    writer: Writer,
    *,
    settings: WorkingConfig,
    fit: FitMap,
) -> list[Substitution]:
    """What the explanations of a job's drawn nodes restore, for each reading, and their means beside.

    A node without a usable simulation (no explanation, a failed call, nothing to calibrate on) keeps its
    counterfactual value, restores nothing, and is counted.
    """
    if not nodes:
        return []
    task = traced.task
    n_run = len(task.prompt) + len(task.reply) - 1
    means = np.tile(np.array([node.mean for node in nodes], dtype=np.float32), (n_run, 1))
    held: list[tuple[str, str, Kind, Floats]] = [("", "", "mean", means)]
    for reading in readings:
        kinds: dict[Kind, Mapping[str, Explanation]] = {
            "own": reading.own,
            "null": reading.null,
            "shuffled": reading.shuffled,
        }
        for kind, written in kinds.items():
            columns = [
                _activations(node, written.get(node.unit), text, reading.simulator, settings, fit)[:n_run]
                for node in nodes
            ]
            held.append((reading.explainer, reading.simulator.name, kind, np.stack(columns, axis=1)))
    places = {id: place for place, id in enumerate(writer.unit_ids())}
    at = np.array([places[node.unit] for node in nodes], dtype=np.int64)
    clean = writer.likelihoods(task, is_counterfactual=False)[list(task.content)].sum()
    patches = [NodePatch(at), *(NodePatch(at, values) for *_, values in held)]
    baseline, *likelihoods = writer.patched(task, patches)
    return [
        Substitution(
            job=traced.job.id,
            explainer=explainer,
            simulator=simulator,
            kind=kind,
            n_nodes=len(nodes),
            n_failed=int(np.isnan(values).all(axis=0).sum()),
            lost=float(clean - baseline),
            restored=float(likelihood - baseline),
        )
        for (explainer, simulator, kind, values), likelihood in zip(held, likelihoods, strict=True)
    ]


def _activations(
    node: Drawn,
    explanation: Explanation | None,
    text: WorkingText,
    simulator: Simulator,
    settings: WorkingConfig,
    fit: FitMap,
) -> Floats:
    """(T,) of a node on the job's own text in raw units; NaN where nothing is known."""
    out = np.full(len(text.pieces), np.nan, dtype=np.float32)
    if explanation is None:
        return out[text.lead :]
    cuts = cuts_of(text, settings)
    passages: dict[str, Passage] = {e.passage.id: e.passage for e in node.calibrate}
    passages |= {passage.id: passage for passage in (passage_of(text, cut) for cut in cuts)}
    answers = {
        answer.excerpt: answer
        for answer in simulator.simulate([SimulationJob(node.unit, explanation, tuple(passages.values()))])
        if isinstance(answer, Simulation)
    }
    known = [excerpt for excerpt in node.calibrate if excerpt.passage.id in answers]
    affine = fit(known, [answers[excerpt.passage.id] for excerpt in known])
    if not math.isfinite(affine.slope) or not math.isfinite(affine.intercept):
        return out[text.lead :]
    for cut in cuts:
        answer = answers.get(passage_of(text, cut).id)
        if answer is not None:
            raw = affine.slope * np.array(answer.expected) + affine.intercept
            out[cut.start + cut.n_context : cut.start + cut.length] = np.maximum(raw, 0.0)
    return out[text.lead :]
