"""Configs from command-line shorthand: what a person names becomes what a config says in full."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from scrutable.pipeline.behaviours.config import (
    ACCOUNT_KINDS,
    PREDICTOR_KINDS,
    BehaviourSelftestConfig,
)
from scrutable.pipeline.config import (
    EXPLAINER_KINDS,
    SIMULATOR_KINDS,
    RecordsConfig,
    SelftestConfig,
    load_config,
    parse_config,
)
from scrutable.pipeline.errors import ConfigError

DEFAULT_SIMULATOR = "trained"
_TRANSPARENT = ("table", "ngrams", "program")  # read whatever is written for them, and cost nothing
_OPPONENTS = ("table", "ngrams", "program", "tree", "rules", "template", "generic")


def records_config(
    *,
    name: str,
    records: str,
    explanations: str,
    simulators: Sequence[str],
    nulls: int,
    population: int | None,
    opponents: bool,
) -> RecordsConfig:
    """A job that scores someone's explanations on someone's records.

    Without a simulator the trained one that comes with the package reads English; what is transparent is
    always there.
    """
    named = _sections(simulators or (DEFAULT_SIMULATOR,), SIMULATOR_KINDS, otherwise="prompted")
    config = parse_config(
        {
            "job": "score",
            "name": name,
            "records": records,
            "explanations": explanations,
            "population": population,
            "explainers": {kind: {"kind": kind} for kind in _OPPONENTS} if opponents else {},
            "simulators": {kind: {"kind": kind} for kind in _TRANSPARENT} | named,
            "scoring": {"nulls": nulls},
        },
        source="the command line",
    )
    assert isinstance(config, RecordsConfig)
    return config


def selftest_config(
    path: Path | None, overrides: Sequence[str], *, simulators: Sequence[str], explainers: Sequence[str]
) -> SelftestConfig:
    """A self-test as a config says, or as configs/selftest.yaml does; what is named replaces its parts.

    Raises ConfigError for a config of another kind of job.
    """
    with resources.as_file(resources.files("scrutable.configs") / "selftest.yaml") as default:
        config = load_config(path or default, overrides)
    if not isinstance(config, SelftestConfig):
        raise ConfigError(
            f"{path}: its job is {config.job!r}; a self-test needs job: selftest, or a run folder"
        )
    if not simulators and not explainers:
        return config
    data = config.model_dump(mode="json")
    if simulators:
        data["simulators"] = _sections(simulators, SIMULATOR_KINDS, otherwise="prompted")
    data["explainers"] = _sections(explainers, EXPLAINER_KINDS, otherwise="llm")
    changed = parse_config(data, source="the command line")
    assert isinstance(changed, SelftestConfig)
    return changed


def behaviour_selftest_config(
    path: Path | None, overrides: Sequence[str], *, simulators: Sequence[str], explainers: Sequence[str]
) -> BehaviourSelftestConfig:
    """A self-test of behaviours as a config says, or as configs/behaviour-selftest.yaml does.

    What is named replaces its parts. Raises ConfigError for a config of another kind of job.
    """
    with resources.as_file(resources.files("scrutable.configs") / "behaviour-selftest.yaml") as default:
        config = load_config(path or default, overrides)
    if not isinstance(config, BehaviourSelftestConfig):
        raise ConfigError(
            f"{path}: its job is {config.job!r}; this needs job: behaviour_selftest, or a run folder"
        )
    if not simulators and not explainers:
        return config
    data = config.model_dump(mode="json")
    if simulators:
        data["simulators"] = _sections(simulators, PREDICTOR_KINDS, otherwise="prompted")
    data["explainers"] = _sections(explainers, ACCOUNT_KINDS, otherwise="llm")
    changed = parse_config(data, source="the command line")
    assert isinstance(changed, BehaviourSelftestConfig)
    return changed


def _sections(names: Sequence[str], kinds: Sequence[str], *, otherwise: str) -> dict[str, dict[str, Any]]:
    """A name is a kind that needs no more, or trained:ADAPTER, or MODEL, or MODEL:PROMPT."""
    sections: dict[str, dict[str, Any]] = {}
    for name in names:
        what, _, more = name.partition(":")
        if name in kinds:
            section = {"kind": name}
        elif what in kinds:
            section = {"kind": what, "adapter": more}
        else:
            section = {"kind": otherwise, "model": what} | ({"prompt": more} if more else {})
        words = "-".join(filter(None, (Path(what).name, Path(more).name)))
        label = "".join(c if c.isalnum() or c in "_-" else "-" for c in words)
        if label in sections:
            raise ConfigError(f"{name}: named twice")
        sections[label] = section
    return sections
