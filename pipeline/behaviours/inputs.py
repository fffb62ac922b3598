"""Inputs of a behaviour: templates filled or a file read, and each given a split by its source.

What a source that the explainer saw is followed by tells little of new sources, so a source lies with all its
inputs in one split. Everything is seeded by the behaviour's name: adding one to a study changes no other.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scrutable.pipeline.behaviours.definition import Definition, FileInputs, Numbers, TemplatedInputs
from scrutable.pipeline.behaviours.records import Input
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Split

FEWEST_SOURCES = 6
_SHARES: Mapping[Split, float] = {"explain": 0.45, "calibrate": 0.2, "test": 0.35}
_FEWEST: Mapping[Split, int] = {"explain": 2, "calibrate": 1, "test": 2}  # sources
_TRIES = 20  # draws for each input that is wanted, before fewer are accepted


class Drawn(NamedTuple):
    """An input before it has an id and a split."""

    source: str
    text: str
    slots: Mapping[str, str]


def make_inputs(
    definition: Definition, *, folder: Path, count: int | None = None, seed: int
) -> tuple[Input, ...]:
    """The inputs of a behaviour, no two with the same text, in order of their ids.

    Args:
        definition: of the behaviour.
        folder: that a file of inputs is relative to.
        count: at most so many, where fewer are wanted than the behaviour has.
        seed: of the run.

    Raises:
        ConfigError: a file that cannot be read, no input, or fewer than six sources.
    """
    rng = random.Random(f"{seed}/{definition.name}/inputs")
    wanted = min(definition.inputs.count, count or definition.inputs.count)
    if isinstance(definition.inputs, FileInputs):
        drawn = _read(definition, definition.inputs, folder / definition.inputs.file, wanted)
    else:
        drawn = _filled(definition, definition.inputs, wanted, rng)
    splits = split_sources([one.source for one in drawn], rng, behaviour=definition.name)
    width = len(str(max(len(drawn) - 1, 0)))
    return tuple(
        Input(
            id=f"{definition.name}.{number:0{width}d}",
            behaviour=definition.name,
            source=one.source,
            split=splits[one.source],
            text=one.text,
            slot_names=tuple(one.slots),
            slot_values=tuple(one.slots.values()),
        )
        for number, one in enumerate(drawn)
    )


def split_sources(sources: Sequence[str], rng: random.Random, *, behaviour: str) -> dict[str, Split]:
    """Source → split, about 45, 20 and 35 % of the sources.

    Raises ConfigError for fewer than six different sources.
    """
    different = sorted(set(sources))
    if len(different) < FEWEST_SOURCES:
        raise ConfigError(
            f"behaviour {behaviour}: its inputs come from {len(different)} sources, too few to split: "
            f"at least {FEWEST_SOURCES} are needed (more templates or rows, or another `source`)"
        )
    rng.shuffle(different)
    n_test, n_calibrate = (
        max(_FEWEST[split], round(_SHARES[split] * len(different))) for split in ("test", "calibrate")
    )
    bounds: dict[Split, tuple[int, int]] = {
        "test": (0, n_test),
        "calibrate": (n_test, n_test + n_calibrate),
        "explain": (n_test + n_calibrate, len(different)),
    }
    return {source: split for split, (start, stop) in bounds.items() for source in different[start:stop]}


def _filled(definition: Definition, inputs: TemplatedInputs, wanted: int, rng: random.Random) -> list[Drawn]:
    """Templates in turn, slots and rows at random; what would make two labels alike is drawn again."""
    found: dict[str, Drawn] = {}
    for turn in range(_TRIES * wanted):
        if len(found) == wanted:
            break
        number = turn % len(inputs.templates)
        row = rng.randrange(len(inputs.rows)) if inputs.rows else 0
        slots = {name: _drawn(values, rng) for name, values in inputs.slots.items()}
        slots |= inputs.rows[row] if inputs.rows else {}
        source = {"template": f"template {number}", "row": f"row {row}", **slots}[inputs.source]
        text = inputs.templates[number].format(**slots)
        if _are_different(definition, slots, text):
            found.setdefault(text, Drawn(source, text, slots))
    return list(found.values())


def _are_different(definition: Definition, slots: Mapping[str, str], text: str) -> bool:
    """Whether an input has a label of its own for each outcome."""
    filled = [label.format(**{**slots, "input": text}) for label in definition.labels.values()]
    return len(set(filled)) == len(filled)


def _drawn(values: tuple[str, ...] | Numbers, rng: random.Random) -> str:
    if isinstance(values, Numbers):
        return str(rng.randint(values.least, values.most))
    return rng.choice(values)


def _read(definition: Definition, inputs: FileInputs, path: Path, wanted: int) -> list[Drawn]:
    found: dict[str, Drawn] = {}
    behaviour = definition.name
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if len(found) == wanted:
                    break
                if line.strip():
                    one = _line(
                        line, definition, inputs, where=f"behaviour {behaviour}: {path}, line {number}"
                    )
                    found.setdefault(one.text, one)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"behaviour {behaviour}: cannot read {path}: {error}") from error
    if not found:
        raise ConfigError(f"behaviour {behaviour}: {path} holds no input")
    return list(found.values())


def _line(line: str, definition: Definition, inputs: FileInputs, *, where: str) -> Drawn:
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: no JSON: {error}") from error
    missing = [
        f for f in (inputs.text_field, inputs.source_field) if not isinstance(row, dict) or f not in row
    ]
    if missing:
        raise ConfigError(f"{where}: no field {', '.join(missing)} (text_field and source_field name others)")
    slots = {name: str(value) for name, value in row.items() if isinstance(value, str | int | float)}
    text = slots.pop(inputs.text_field, "")
    if not text.strip():
        raise ConfigError(f"{where}: its text is empty")
    unfilled = sorted(definition.slots_used - set(slots))
    if unfilled:
        raise ConfigError(f"{where}: no field {', '.join(unfilled)}, which the prompt or a label needs")
    if not _are_different(definition, slots, text):
        raise ConfigError(f"{where}: two outcomes have the same label")
    return Drawn(str(row[inputs.source_field]), text, slots)
