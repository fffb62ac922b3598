"""Simulators of behaviours: each predicts the subject's outcome on an input from one kind of explanation."""

from typing import Any

from scrutable.evaluators.behaviours.predictors.concepts import ConceptsPredictor
from scrutable.evaluators.behaviours.predictors.policy import PolicyPredictor
from scrutable.evaluators.behaviours.predictors.prompted import PromptedPredictor
from scrutable.evaluators.behaviours.predictors.words import WordsPredictor

PREDICTORS: dict[str, Any] = {
    "prompted": PromptedPredictor,
    "policy": PolicyPredictor,
    "words": WordsPredictor,
    "concepts": ConceptsPredictor,
}
"""`kind` in the config to a class: (name, config, services) makes a `BehaviourSimulator`;
`language` is what it reads."""
