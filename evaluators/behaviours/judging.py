"""All that was stored of one behaviour becomes losses, gains, forecasts and counterfactual scores: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scrutable.evaluators.behaviours.counterfactuals import predicted_edits, score_edits
from scrutable.evaluators.behaviours.evidence import Evidence, Key
from scrutable.evaluators.behaviours.gains import worth
from scrutable.pipeline.behaviours.records import CounterfactualScore, Edit, Observation, Prediction
from scrutable.pipeline.behaviours.study import Judged, Material


def judge_behaviour(material: Material, *, peers: Sequence[str], seed: int, draws: int = 2000) -> Judged:
    """What the predictions of one behaviour come to.

    Args:
        material: of the behaviour.
        peers: other models whose mean answer is the consensus.
        seed: of the run.
        draws: of the bootstrap over sources.
    """
    evidence = evidence_of(material)
    found = worth(evidence, peers=peers, seed=seed, draws=draws)
    edits, scores = _edited(material, evidence, seed=seed, draws=draws)
    return Judged(found.losses, found.gains, found.forecasts, tuple(edits), tuple(scores))


def _edited(
    material: Material, evidence: Evidence, *, seed: int, draws: int
) -> tuple[list[Edit], list[CounterfactualScore]]:
    """Edits as the first simulator that reads their explanation predicts them, and the score of each."""
    raw: dict[tuple[str, str], dict[str, Prediction]] = {}
    for one in material.edit_predictions:
        raw.setdefault((one.simulator, one.explanation), {})[one.input] = one
    edits: list[Edit] = []
    scores: list[CounterfactualScore] = []
    for explanation in sorted({*(edit.explanation for edit in material.edits), *material.unedited}):
        of_one = [edit for edit in material.edits if edit.explanation == explanation]
        simulators = list(dict.fromkeys(name for name, id in raw if id == explanation))
        for simulator in simulators:
            predicted = predicted_edits(evidence, of_one, raw, simulator=simulator)
            edits += predicted if simulator == simulators[0] else []
            scores.append(
                score_edits(
                    evidence,
                    predicted,
                    explainer=explanation.rpartition("/")[2],
                    simulator=simulator,
                    n_unedited=material.unedited.get(explanation, 0),
                    seed=seed,
                    draws=draws,
                )
            )
    return edits, scores


def evidence_of(material: Material) -> Evidence:
    """What was stored, ordered by who said it."""
    return Evidence(
        behaviour=material.behaviour.id,
        outcomes=material.behaviour.outcomes,
        inputs=material.inputs,
        observations=_by_model(material.observations),
        predictions=by_key(material.predictions),
    )


def _by_model(observations: Iterable[Observation]) -> dict[str, dict[str, Observation]]:
    found: dict[str, dict[str, Observation]] = {}
    for one in observations:
        found.setdefault(one.model, {})[one.input] = one
    return found


def by_key(predictions: Iterable[Prediction]) -> dict[Key, dict[str, Prediction]]:
    """Sets of predictions: simulator, condition, explanation and draw → input → prediction."""
    found: dict[Key, dict[str, Prediction]] = {}
    for one in predictions:
        key = Key(one.simulator, one.condition, one.explanation, one.draw)
        found.setdefault(key, {})[one.input] = one
    return found
