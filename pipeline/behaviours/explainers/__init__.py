"""Explainers of behaviours: each writes one kind of account of what decides the outcome."""

from typing import Any

from scrutable.pipeline.behaviours.explainers.given import GivenAccount
from scrutable.pipeline.behaviours.explainers.llm import LlmAccount

ACCOUNTS: dict[str, Any] = {
    "llm": LlmAccount,
    "given": GivenAccount,
}
"""`kind` in the config to a class: (name, config, services) makes a `BehaviourExplainer`;
`language` is what it writes."""
