"""Subjects: models whose units are explained. torch lives here."""

from collections.abc import Callable
from typing import Any

from scrutable.pipeline.assets import ModelFiles
from scrutable.pipeline.config import SubjectConfig
from scrutable.pipeline.protocols import Subject


def _neuron(config: SubjectConfig, files: ModelFiles, provenance: dict[str, Any]) -> Subject:
    from scrutable.pipeline.placement import place
    from scrutable.pipeline.subjects.neuron import SIGNS, NeuronSubject

    return NeuronSubject(
        str(files.path),
        name=files.name,
        placement=place(device=config.device, dtype=config.dtype),
        signs=SIGNS if config.signs == "both" else ("pos",),
        batch_size=config.batch_size,
        provenance=provenance,
    )


SUBJECTS: dict[str, Callable[[SubjectConfig, ModelFiles, dict[str, Any]], Subject]] = {"neuron": _neuron}
"""`kind` in the config to a maker of subjects."""
