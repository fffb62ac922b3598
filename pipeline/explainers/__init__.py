"""Explainers: each writes one kind of explanation of a unit from excerpts of the explain split."""

from typing import Any

from scrutable.pipeline.explainers.compiled import CompiledExplainer
from scrutable.pipeline.explainers.llm import LlmExplainer
from scrutable.pipeline.explainers.program import ProgramExplainer
from scrutable.pipeline.explainers.table import TableExplainer
from scrutable.pipeline.explainers.template import TemplateExplainer

EXPLAINERS: dict[str, Any] = {
    "llm": LlmExplainer,
    "template": TemplateExplainer,
    "table": TableExplainer,
    "program": ProgramExplainer,
    "compiled": CompiledExplainer,
}
"""`kind` in the config to a class: (name, config, services) makes an `Explainer`;
`language` is what it writes."""
