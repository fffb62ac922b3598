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
from scrutable.pipeline.assets import ModelFiles, resolve_corpus, resolve_model
from scrutable.pipeline.backends.conversion import check_continuation, convert_gguf
from scrutable.pipeline.explainers import EXPLAINERS
from scrutable.pipeline.placement import place
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Ask, Evaluation, Explainer, Services, Simulator, Subject
from scrutable.pipeline.runner import pairings
from scrutable.pipeline.subjects import SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path

    from scrutable.pipeline.backends.transformers import TransformersBackend
    from scrutable.pipeline.config import ModelConfig, RunConfig

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
        self._files: dict[str, ModelFiles] = {}
        self._backends: dict[tuple[str, str, str], TransformersBackend] = {}
        self._subject: Subject | None = None
        self._services = Services(ask=self.ask, seed=config.seed)

    def check(self) -> None:
        """Resolves every model and corpus, and checks prompts and labels, before anything is computed.

        Raises AssetError, ConfigError or CapabilityError for what could not work later.
        """
        from scrutable.pipeline.backends.transformers import check_labels

        self.corpus()
        self.files(self._config.subject)
        for explainer in self._config.explainers.values():
            if explainer.kind == "llm":
                template(explainer.prompt)
                self.files(explainer)
        for simulator in self._config.simulators.values():
            if simulator.kind == "prompted":
                labels = template(simulator.prompt).labels
                files = self.files(simulator)
                check_labels(str(files.path), labels.strings if labels else (), name=files.name)

    def corpus(self) -> Path:
        """The corpus file or folder."""
        return resolve_corpus(self._config.corpus.source, say=self._say)

    def subject(self) -> Subject:
        """The subject, loaded once."""
        if self._subject is None:
            config = self._config.subject
            files = self.files(config)
            self._subject = SUBJECTS[config.kind](config, files, self._provenance(config))
        return self._subject

    def release_subject(self) -> None:
        """Lets go of the subject's memory."""
        self._subject = None

    def explainer(self, name: str) -> Explainer:
        """The explainer of that name."""
        config = self._config.explainers[name]
        facts = self._provenance(config) if config.kind == "llm" else {}
        if config.kind == "llm":
            facts["prompt_digest"] = template(config.prompt).digest
        self._note("explainers", {name: {"kind": config.kind, **facts}})
        made: Explainer = EXPLAINERS[config.kind](name, config, self._services)
        return made

    def simulator(self, name: str) -> Simulator:
        """The simulator of that name."""
        config = self._config.simulators[name]
        facts = self._provenance(config) if config.kind == "prompted" else {}
        if config.kind == "prompted":
            facts["prompt_digest"] = template(config.prompt).digest
        self._note("simulators", {name: {"kind": config.kind, **facts}})
        made: Simulator = SIMULATORS[config.kind](name, config, self._services)
        return made

    def ask(self, config: ModelConfig) -> Ask:
        """The door to a model; one that several parts use is loaded once."""
        from scrutable.pipeline.backends.transformers import TransformersBackend

        placement = place(device=config.device, dtype=config.dtype)
        key = (config.model, *placement)
        if key not in self._backends:
            files = self.files(config)
            self._backends[key] = TransformersBackend(str(files.path), name=files.name, placement=placement)
        return self._backends[key].in_batches_of(config.batch_size)

    def files(self, config: ModelConfig) -> ModelFiles:
        """The files of a model, fetched and converted if need be."""
        if config.model not in self._files:
            self._files[config.model] = resolve_model(
                config.model, convert=convert_gguf, check=check_continuation, say=self._say
            )
        return self._files[config.model]

    def _provenance(self, config: ModelConfig) -> dict[str, Any]:
        files = self.files(config)
        placement = place(device=config.device, dtype=config.dtype)
        return {
            "name": files.name,
            "digest": files.digest,
            "source": files.source,
            "note": files.note,
            "dtype": placement.dtype,
            "device": placement.device,
        }


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
