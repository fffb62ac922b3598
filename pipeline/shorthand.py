"""Configs from command-line shorthand: what a person names becomes what a config says in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

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

Selftest = TypeVar("Selftest", SelftestConfig, BehaviourSelftestConfig)

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
    config = _given_or_shipped(path, overrides, "selftest.yaml", SelftestConfig, job="selftest")
    named = (
        _sections(simulators, SIMULATOR_KINDS, otherwise="prompted"),
        _sections(explainers, EXPLAINER_KINDS, otherwise="llm"),
    )
    return _with_parts(config, *named)


def behaviour_selftest_config(
    path: Path | None, overrides: Sequence[str], *, simulators: Sequence[str], explainers: Sequence[str]
) -> BehaviourSelftestConfig:
    """The same of behaviours, by configs/behaviour-selftest.yaml. Raises as `selftest_config` does."""
    config = _given_or_shipped(
        path, overrides, "behaviour-selftest.yaml", BehaviourSelftestConfig, job="behaviour_selftest"
    )
    named = (
        _sections(simulators, PREDICTOR_KINDS, otherwise="prompted"),
        _sections(explainers, ACCOUNT_KINDS, otherwise="llm"),
    )
    return _with_parts(config, *named)


def _given_or_shipped(
    path: Path | None, overrides: Sequence[str], shipped: str, kind: type[Selftest], *, job: str
) -> Selftest:
    """The config at a path, or the one that comes with the package."""
    with resources.as_file(resources.files("scrutable.configs") / shipped) as default:
        config = load_config(path or default, overrides)
    if not isinstance(config, kind):
        raise ConfigError(f"{path}: its job is {config.job!r}; a self-test needs job: {job}, or a run folder")
    return config


def _with_parts(config: Selftest, simulators: Mapping[str, Any], explainers: Mapping[str, Any]) -> Selftest:
    """The config with what is named in place of its simulators, if any are, and of its explainers."""
    if not simulators and not explainers:
        return config
    data = config.model_dump(mode="json")
    if simulators:
        data["simulators"] = dict(simulators)
    data["explainers"] = dict(explainers)
    changed = parse_config(data, source="the command line")
    assert isinstance(changed, type(config))
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
