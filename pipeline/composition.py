"""Where a config becomes models, explainers, simulators and judges; imported by the CLI alone."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from scrutable.evaluators.nulls import assign_nulls
from scrutable.evaluators.scorers import SCORERS
from scrutable.evaluators.scorers.simulation import calibration
from scrutable.evaluators.simulators import SIMULATORS
from scrutable.evaluators.summary import summarise
from scrutable.pipeline.assets import resolve_corpus, resolve_model
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.config import (
    ExplainerConfig,
    LlmExplainer,
    ModelConfig,
    PromptedSimulator,
    RunConfig,
    SimulatorConfig,
)
from scrutable.pipeline.explainers import EXPLAINERS
from scrutable.pipeline.placement import place
from scrutable.pipeline.prompting import Template, template
from scrutable.pipeline.protocols import (
    Ask,
    Evaluation,
    Explainer,
    LocatedModel,
    Services,
    Simulator,
    Subject,
)
from scrutable.pipeline.runner import pairings
from scrutable.pipeline.subjects import SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from scrutable.pipeline.backends.transformers import TransformersBackend

EVALUATION = Evaluation(
    assign_nulls=assign_nulls, scorers=SCORERS, calibrate=calibration, summarise=summarise
)

_NAMED_VERSIONS = ("scrutable", "torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow")


class Composition:
    """Makes the parts of one run; each model is loaded once, when it is first needed."""

    def __init__(
        self, config: RunConfig, *, say: Callable[[str], None], note: Callable[[str, Any], None]
    ) -> None:
        self._config = config
        self._say = say
        self._note = note
        self._models: dict[ModelConfig, LocatedModel] = {}
        self._backends: dict[tuple[str, str, str], TransformersBackend] = {}
        self._subject: Subject | None = None
        self._services = Services(locate=self.locate, ask=self.ask, seed=config.seed)

    def check(self) -> None:
        """Resolves every model and corpus, and checks prompts and labels, before anything is computed.

        Raises AssetError, ConfigError or CapabilityError for what could not work later.
        """
        self.corpus()
        if isinstance(self._config.subject, ModelConfig):
            self.locate(self._config.subject)
        for explainer in self._config.explainers.values():
            if isinstance(explainer, LlmExplainer):
                self._check_prompt(explainer, template(explainer.prompt), ())
        for simulator in self._config.simulators.values():
            if isinstance(simulator, PromptedSimulator):
                prompt = template(simulator.prompt)
                self._check_prompt(simulator, prompt, prompt.required_labels().strings)

    def _check_prompt(self, config: ModelConfig, prompt: Template, labels: tuple[str, ...]) -> None:
        from scrutable.pipeline.backends.transformers import check_prompt

        model = self.locate(config)
        check_prompt(model.path, name=model.name, labels=labels, is_chat=prompt.is_chat)

    def corpus(self) -> Path:
        """The corpus file or folder."""
        return resolve_corpus(self._config.corpus.source, say=self._say)

    def subject(self) -> Subject:
        """The subject, loaded once."""
        if self._subject is None:
            config = self._config.subject
            self._subject = SUBJECTS[config.kind](config, self._services)
        return self._subject

    def release_subject(self) -> None:
        """Lets go of the subject's memory."""
        self._subject = None

    def explainer(self, name: str) -> Explainer:
        """The explainer of that name."""
        config = self._config.explainers[name]
        self._note("explainers", {name: self._facts(config)})
        made: Explainer = EXPLAINERS[config.kind](name, config, self._services)
        return made

    def simulator(self, name: str) -> Simulator:
        """The simulator of that name."""
        config = self._config.simulators[name]
        self._note("simulators", {name: self._facts(config)})
        made: Simulator = SIMULATORS[config.kind](name, config, self._services)
        return made

    def ask(self, config: ModelConfig) -> Ask:
        """The door to a model; one that several parts use is loaded once."""
        from scrutable.pipeline.backends.transformers import TransformersBackend

        placement = place(device=config.device, dtype=config.dtype)
        key = (config.model, *placement)
        if key not in self._backends:
            model = self.locate(config)
            self._backends[key] = TransformersBackend(model.path, name=model.name, placement=placement)
        return self._backends[key].in_batches_of(config.batch_size)

    def locate(self, config: ModelConfig) -> LocatedModel:
        """The files of a model, fetched and converted if need be."""
        if config not in self._models:
            files = resolve_model(config.model, convert=convert_gguf, check=check_continuation, say=self._say)
            placement = place(device=config.device, dtype=config.dtype)
            facts = {
                "name": files.name,
                "digest": files.digest,
                "source": files.source,
                "note": files.note,
                "dtype": placement.dtype,
                "device": placement.device,
            }
            self._models[config] = LocatedModel(files.name, str(files.path), facts)
        return self._models[config]

    def _facts(self, config: ExplainerConfig | SimulatorConfig) -> dict[str, Any]:
        facts: dict[str, Any] = {"kind": config.kind, "name": f"{config.kind} (no model)"}
        if isinstance(config, LlmExplainer | PromptedSimulator):
            facts |= {**self.locate(config).provenance, "prompt": config.prompt}
            facts["prompt_digest"] = template(config.prompt).digest
        return facts


def pairs_of(config: RunConfig) -> dict[str, tuple[str, str]]:
    """Which simulators read which explainers' explanations."""
    return pairings(
        {name: EXPLAINERS[explainer.kind].language for name, explainer in config.explainers.items()},
        {name: SIMULATORS[simulator.kind].language for name, simulator in config.simulators.items()},
    )


def host_facts() -> dict[str, Any]:
    """Versions and machine, for the manifest."""
    versions = {}
    for name in _NAMED_VERSIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "versions": versions,
        "command": sys.argv[1:],
    }
