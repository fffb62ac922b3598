"""Where definitions of behaviours come from: the library in configs/behaviours, or a file of the user's."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.policy_text import read_policy
from scrutable.pipeline.errors import ConfigError, ParseError


class Defined(NamedTuple):
    """A definition, and the folder that files of inputs are relative to."""

    definition: Definition
    folder: Path


def library_names() -> list[str]:
    """The behaviours that come with the package, sorted."""
    return sorted(
        file.name.removesuffix(".yaml") for file in _library().iterdir() if file.name.endswith(".yaml")
    )


def load_behaviours(names: Sequence[str]) -> list[Defined]:
    """Definitions in order. `all` stands for the whole library.

    Raises ConfigError for an unknown name, a file that is no definition, or a name that comes twice.
    """
    wanted = [one for name in names for one in (library_names() if name == "all" else [name])]
    found = [_load(name) for name in wanted]
    seen: set[str] = set()
    for defined in found:
        if defined.definition.name in seen:
            raise ConfigError(f"behaviours: {defined.definition.name} is there twice")
        seen.add(defined.definition.name)
    return found


def read_definition(text: str, *, source: str) -> Definition:
    """A definition from YAML. Raises ConfigError with one line that names the source and the key."""
    try:
        data = yaml.safe_load(text)
        if not isinstance(data, dict):
            raise ConfigError(f"{source}: expected a mapping of keys, got {type(data).__name__}")
        definition = Definition.model_validate(data)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not a readable YAML file: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        raise ConfigError(f"{source}: {_first(error)}") from error
    if definition.policy:
        check_policy(definition, source=source)
    return definition


def check_policy(definition: Definition, *, source: str) -> None:
    """Raises ConfigError for a policy that cannot be read, or with outcomes that the behaviour lacks."""
    try:
        policy = read_policy(definition.policy)
    except ParseError as error:
        raise ConfigError(f"{source}: policy: {error}") from error
    strange = [outcome for outcome in policy.outcomes if outcome not in definition.outcomes]
    if strange:
        raise ConfigError(
            f"{source}: policy: the behaviour has no outcome {strange[0]!r} "
            f"(it has {', '.join(definition.outcomes)})"
        )


def _load(name: str) -> Defined:
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"behaviours: cannot read {path}: {error}") from error
        return Defined(read_definition(text, source=str(path)), path.parent)
    known = library_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(
            f"behaviours: no behaviour {name!r} and no file of that name.{hint} (known: {', '.join(known)})"
        )
    text = (_library() / f"{name}.yaml").read_text(encoding="utf-8")
    return Defined(read_definition(text, source=f"behaviour {name}"), Path())


def _library() -> Path:
    return Path(str(resources.files("scrutable.configs"))) / "behaviours"


def _first(error: ValidationError) -> str:
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    first, *others = problems
    where = ".".join(str(part) for part in first["loc"])
    what = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    more = f" (and {len(others)} more)" if others else ""
    return f"{where}: {what}{more}" if where else f"{what}{more}"
