"""Explainers: each writes one kind of explanation of a unit from excerpts of the explain split."""

from typing import Any

from scrutable.pipeline.explainers.compiled import CompiledExplainer
from scrutable.pipeline.explainers.follower import FollowerExplainer
from scrutable.pipeline.explainers.generic import GenericExplainer
from scrutable.pipeline.explainers.llm import LlmExplainer
from scrutable.pipeline.explainers.ngrams import NgramsExplainer
from scrutable.pipeline.explainers.paraphrase import ParaphraseExplainer
from scrutable.pipeline.explainers.planted import PlantedExplainer
from scrutable.pipeline.explainers.probe import ProbeExplainer
from scrutable.pipeline.explainers.program import ProgramExplainer
from scrutable.pipeline.explainers.rules import RulesExplainer
from scrutable.pipeline.explainers.table import TableExplainer
from scrutable.pipeline.explainers.template import TemplateExplainer
from scrutable.pipeline.explainers.tree import TreeExplainer

EXPLAINERS: dict[str, Any] = {
    "llm": LlmExplainer,
    "follower": FollowerExplainer,
    "planted": PlantedExplainer,
    "template": TemplateExplainer,
    "generic": GenericExplainer,
    "table": TableExplainer,
    "ngrams": NgramsExplainer,
    "program": ProgramExplainer,
    "tree": TreeExplainer,
    "rules": RulesExplainer,
    "compiled": CompiledExplainer,
    "paraphrase": ParaphraseExplainer,
    "probe": ProbeExplainer,
}
"""`kind` in the config to a class: (name, config, services) makes an `Explainer`;
`language` is what it writes."""
