"""Imports point inwards; the core costs nothing to import; the wheel holds what the folders hold."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RINGS = [  # innermost first; the longest matching prefix wins
    {"pipeline.records", "pipeline.errors", "pipeline.behaviours.records", "pipeline.recursion.records"},
    {  # plain data
        "pipeline.placement",
        "pipeline.sections",
        "pipeline.config",
        "pipeline.sampling",
        "pipeline.windows",
        "pipeline.behaviours.config",
        "pipeline.behaviours.definition",
        "pipeline.recursion.config",
    },
    {"pipeline.protocols", "pipeline.behaviours.protocols", "pipeline.recursion.protocols"},
    {"pipeline"},  # the pure core and the stages
    {
        "pipeline.subjects",
        "pipeline.backends",
        "pipeline.explainers",
        "pipeline.behaviours.explainers",
        "evaluators",
    },
    {"pipeline.composition"},
    {"pipeline.cli"},  # imported by nobody
]
FILES = sorted(path for folder in ("pipeline", "evaluators") for path in (ROOT / folder).rglob("*.py"))


def place(module: str) -> tuple[int, str]:
    """The ring a module sits in, and the prefix that put it there."""
    _, ring, prefix = max(
        (len(p), i, p) for i, ring in enumerate(RINGS) for p in ring if f"{module}.".startswith(f"{p}.")
    )
    return ring, prefix


def allowed(importer: str, imported: str) -> bool:
    """Inwards, or sideways within one prefix or one ring of plain modules; never between sibling leaves."""
    (ring, prefix), (other_ring, other_prefix) = place(importer), place(imported)
    is_plain = ring == other_ring <= 2  # records, plain data, protocols
    return other_ring < ring or other_prefix == prefix or is_plain


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        node.module.removeprefix("scrutable.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("scrutable.")
    ]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_inwards(path: Path) -> None:
    importer = module_of(path)
    if importer == "pipeline":
        return  # the package itself only offers load_run
    wrong = [imported for imported in imports_of(path) if not allowed(importer, imported)]
    assert not wrong, f"{importer} may not import {', '.join(wrong)}"


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("pipeline.runner", "evaluators.nulls"),
        ("pipeline.explainers.llm", "pipeline.backends.transformers"),
        ("evaluators.simulators.prompted", "pipeline.explainers.llm"),
        ("pipeline.records", "pipeline.protocols"),
        ("pipeline.subjects.neuron", "pipeline.cli"),
        ("pipeline.composition", "pipeline.cli"),
    ],
)
def test_a_forbidden_import_would_be_seen(importer: str, imported: str) -> None:
    assert not allowed(importer, imported)


@pytest.mark.parametrize(
    "module",
    ["pipeline", "pipeline.runner", "pipeline.cli", "pipeline.explainers", "evaluators.simulators"],
)
def test_importing_the_core_loads_no_heavy_library(module: str) -> None:
    code = (
        f"import sys, scrutable.{module}; "
        "print([m for m in ('torch', 'transformers', 'vllm', 'openai', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_packages_of_the_wheel_are_the_folders() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        "scrutable." + ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("pipeline", "evaluators", "prompts", "configs")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert set(settings["packages"]) == folders


def test_every_public_module_says_what_it_is() -> None:
    silent = [module_of(path) for path in FILES if not ast.get_docstring(ast.parse(path.read_text()))]
    assert not silent


@pytest.mark.parametrize(
    ("folder", "registry", "base"),
    [
        ("pipeline/explainers", "scrutable.pipeline.explainers:EXPLAINERS", "explainers"),
        ("evaluators/simulators", "scrutable.evaluators.simulators:SIMULATORS", "simulators"),
        ("evaluators/scorers", "scrutable.evaluators.scorers:SCORERS", "scorers"),
        ("pipeline/behaviours/explainers", "scrutable.pipeline.behaviours.explainers:ACCOUNTS", "accounts"),
        (
            "evaluators/behaviours/predictors",
            "scrutable.evaluators.behaviours.predictors:PREDICTORS",
            "predictors",
        ),
        ("evaluators/judges", "scrutable.evaluators.judges:JUDGES", "judges"),
    ],
)
def test_every_leaf_is_registered(folder: str, registry: str, base: str) -> None:
    module, _, name = registry.partition(":")
    names = set(getattr(__import__(module, fromlist=[name]), name))
    files = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert names == files, f"{base}: one file and one registry line each"
