"""Configs from command-line shorthand: what a person names becomes what a config says in full."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from scrutable.pipeline.config import (
    EXPLAINER_KINDS,
    SIMULATOR_KINDS,
    RecordsConfig,
    SelftestConfig,
    load_config,
    parse_config,
)
from scrutable.pipeline.errors import ConfigError

DEFAULT_SIMULATOR = "smollm2-135m"
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

    Without a simulator the smallest embedded model reads English; what is transparent is always there.
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


def _sections(names: Sequence[str], kinds: Sequence[str], *, otherwise: str) -> dict[str, dict[str, Any]]:
    """A name is a kind that needs no model, or MODEL, or MODEL:PROMPT."""
    sections: dict[str, dict[str, Any]] = {}
    for name in names:
        model, _, prompt = name.partition(":")
        section = {"kind": name} if name in kinds else {"kind": otherwise, "model": model}
        if prompt:
            section["prompt"] = prompt
        label = "".join(
            c if c.isalnum() or c in "_-" else "-" for c in "-".join(filter(None, (Path(model).name, prompt)))
        )
        if label in sections:
            raise ConfigError(f"{name}: named twice")
        sections[label] = section
    return sections
