"""Explainers of behaviours: each writes one kind of account of what decides the outcome."""

from typing import Any

from scrutable.pipeline.behaviours.explainers.attribution import AttributionAccount
from scrutable.pipeline.behaviours.explainers.concepts import ConceptsAccount
from scrutable.pipeline.behaviours.explainers.given import GivenAccount
from scrutable.pipeline.behaviours.explainers.llm import LlmAccount
from scrutable.pipeline.behaviours.explainers.rules import RulesAccount
from scrutable.pipeline.behaviours.explainers.template import TemplateAccount
from scrutable.pipeline.behaviours.explainers.tree import TreeAccount
from scrutable.pipeline.behaviours.explainers.words import WordsAccount

ACCOUNTS: dict[str, Any] = {
    "llm": LlmAccount,
    "given": GivenAccount,
    "template": TemplateAccount,
    "tree": TreeAccount,
    "rules": RulesAccount,
    "words": WordsAccount,
    "concepts": ConceptsAccount,
    "attribution": AttributionAccount,
}
"""`kind` in the config to a class: (name, config, services) makes a `BehaviourExplainer`;
`language` is what it writes."""
