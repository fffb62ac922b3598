"""Subjects: models whose units are explained. torch lives here."""

from collections.abc import Callable
from typing import Any

from scrutable.pipeline.config import NeuronSubjectConfig, PlantedSubjectConfig
from scrutable.pipeline.protocols import Services, Subject


def _neuron(config: NeuronSubjectConfig, services: Services) -> Subject:
    from scrutable.pipeline.placement import place
    from scrutable.pipeline.subjects.neuron import SIGNS, NeuronSubject

    model = services.locate(config)
    return NeuronSubject(
        model.path,
        name=model.name,
        placement=place(device=config.device, dtype=config.dtype),
        signs=SIGNS if config.signs == "both" else ("pos",),
        batch_size=config.batch_size,
        random_seed=services.seed if config.weights == "random" else None,
        provenance=model.provenance,
    )


def _planted(config: PlantedSubjectConfig, services: Services) -> Subject:
    from scrutable.pipeline.subjects.planted import PlantedSubject

    del services
    return PlantedSubject(config.rules)


SUBJECTS: dict[str, Callable[[Any, Services], Subject]] = {"neuron": _neuron, "planted": _planted}
"""`kind` in the config to a maker: (config, services) makes a `Subject`."""
