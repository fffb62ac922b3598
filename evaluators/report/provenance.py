"""The manifest and the config, as a reader can read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from scrutable.evaluators.report import wording


@dataclass(frozen=True, slots=True)
class Entry:
    """A named value of the manifest, or a named group of entries."""

    name: str
    text: str = ""
    children: tuple[Entry, ...] = ()


def entries(tree: Any) -> tuple[Entry, ...]:
    """A tree of mappings and lists as entries; items of a list of groups are numbered from 1."""
    if isinstance(tree, Mapping):
        return tuple(_entry(str(name), value) for name, value in tree.items())
    return tuple(_entry(str(i), value) for i, value in enumerate(tree, 1))


def config_yaml(config: Mapping[str, Any]) -> str:
    """The resolved config as YAML, in its own order."""
    return yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=100)


def weight_notes(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """What the manifest notes about the weights of each model, for example 4-bit quantisation."""
    noted: dict[str, None] = {}
    for role, model in models(manifest):
        if isinstance(model, Mapping) and model.get("note"):
            noted[f"{role}: {model['note']}"] = None
    return tuple(noted)


def described(model: Any) -> str:
    """A model or corpus of the manifest on one line: its name, then its type and digest."""
    if not isinstance(model, Mapping):
        return str(model)
    name = model.get("name") or model.get("model") or wording.NO_NUMBER
    parts = [str(name)]
    if model.get("dtype"):
        parts.append(str(model["dtype"]))
    if model.get("digest"):
        parts.append(f"SHA-256 {str(model['digest']).removeprefix('sha256:')[:12]}…")
    return ", ".join(parts)


def behaving_subject(manifest: Mapping[str, Any]) -> str:
    """The model whose behaviours a run explains, on one line; a dash where there is none."""
    noted = _behaving(manifest, "subject")
    return described(noted[0][1]) if noted else wording.NO_NUMBER


def corpus_described(corpus: Any) -> str:
    """The corpus on one line: name, documents, tokens, and what was dropped."""
    if not isinstance(corpus, Mapping):
        return str(corpus)
    parts = [described(corpus)] if corpus.get("name") or corpus.get("digest") else []
    for key, noun in (("n_documents", "document"), ("n_tokens", "token")):
        if isinstance(corpus.get(key), int):
            parts.append(wording.counted(corpus[key], noun))
    if "dropped" in corpus:
        parts.append(f"dropped: {_leaf(corpus['dropped'])}")
    return "; ".join(parts)


def models(manifest: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Every model or method of a run: its role and name, and what the manifest says of it."""
    noted = [manifest["subject"]] if "subject" in manifest else []
    subjects = noted or [model for _, model in _behaving(manifest, "subject")]
    found: list[tuple[str, Any]] = [("subject", model) for model in subjects]
    for role in ("explainer", "simulator"):
        named = manifest.get(f"{role}s")
        if isinstance(named, Mapping):
            found += [(f"{role} {name}", model) for name, model in named.items()]
        of = " of behaviours" if isinstance(named, Mapping) else ""
        found += [(f"{role}{of} {name}", model) for name, model in _behaving(manifest, f"{role}s")]
    found += [(f"other model {name}", model) for name, model in _behaving(manifest, "peers")]
    if "behaviour_editor" in manifest:
        found.append(("editor", manifest["behaviour_editor"]))
    return found


def _behaving(manifest: Mapping[str, Any], section: str) -> list[tuple[str, Any]]:
    """The named models of one section of a study of behaviours."""
    named = manifest.get(f"behaviour_{section}")
    return list(named.items()) if isinstance(named, Mapping) else []


def _entry(name: str, value: Any) -> Entry:
    is_group = isinstance(value, Mapping) or (
        _is_list(value) and any(isinstance(item, Mapping) or _is_list(item) for item in value)
    )
    if is_group and value:
        return Entry(name, children=entries(value))
    return Entry(name, text=_leaf(value))


def _leaf(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_leaf(item)}" for key, item in value.items()) or "none"
    if _is_list(value):
        return ", ".join(_leaf(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def _plain(value: Any) -> Any:
    """The value in types that YAML has; anything else as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if _is_list(value):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    # Subclasses, such as NumPy's float, become the plain type: YAML refuses them.
    return next((kind(value) for kind in (int, float) if isinstance(value, kind)), str(value))


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
