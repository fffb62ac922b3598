"""Simulators of behaviours: each predicts the subject's outcome on an input from one kind of explanation."""

from typing import Any

from scrutable.evaluators.behaviours.predictors.prompted import PromptedPredictor

PREDICTORS: dict[str, Any] = {
    "prompted": PromptedPredictor,
}
"""`kind` in the config to a class: (name, config, services) makes a `BehaviourSimulator`;
`language` is what it reads."""
