"""Prompt files: jinja with front matter, rendered to Prompts; records in, text out.

A template marks three things with characters that no text contains: the end of each part that many
prompts share, each place where a label distribution is read, and each stretch that tells of the unit that
is to be explained. The marks are gone from the prompt.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import yaml
from jinja2.sandbox import SandboxedEnvironment

from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.records import Generate, Prompt, ReadChoice, ReadLabels

SHARED_END = "\ue000"
READ_HERE = "\ue001"
SPAN_BEGIN, SPAN_END = "\ue003", "\ue004"
_MARKS = {
    "SHARED_END": SHARED_END,
    "READ_HERE": READ_HERE,
    "SPAN_BEGIN": SPAN_BEGIN,
    "SPAN_END": SPAN_END,
}
_MARKED = re.compile(f"([{READ_HERE}{SPAN_BEGIN}{SPAN_END}])")
_SPELT_OUT = str.maketrans(
    {
        SHARED_END: "",
        READ_HERE: "",
        SPAN_BEGIN: "",
        SPAN_END: "",
        "\\": r"\\",
        "\n": r"\n",
        "\r": r"\r",
        "\t": r"\t",
    }
    | {breaks: f"\\u{ord(breaks):04x}" for breaks in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
)


@dataclass(frozen=True, slots=True)
class Labels:
    """The label strings of a simulator prompt and the level that each stands for."""

    strings: tuple[str, ...]  # (L,)
    levels: tuple[float, ...]  # (L,), or (L + 1,) if `rest` is a level of its own
    has_rest: bool  # every other token stands for the last level


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt file."""

    name: str
    about: str
    is_chat: bool
    stop: tuple[str, ...]
    labels: Labels | None
    digest: str  # SHA-256 over the file and what it includes, first 16 hex digits
    cases: tuple[dict[str, Any], ...]

    def generate(self, *, max_tokens: int, temperature: float = 0.0, seed: int = 0, **records: Any) -> Prompt:
        """A prompt that asks for text."""
        shared, text, positions, _ = self._render(records)
        if positions:
            raise ConfigError(f"prompt {self.name} reads labels; it cannot be used to generate text")
        read = Generate(max_tokens=max_tokens, temperature=temperature, stop=self.stop, seed=seed)
        return Prompt(shared=shared, text=text, read=read, is_chat=self.is_chat)

    def spans(self, **records: Any) -> tuple[tuple[int, int], ...]:
        """[start, stop) characters of the prompt's own text that tell of the unit, ascending."""
        return self._render(records).spans

    def read_labels(self, **records: Any) -> Prompt:
        """A prompt that asks for label distributions."""
        shared, text, positions, _ = self._render(records)
        read = ReadLabels(labels=self.required_labels().strings, positions=positions)
        return Prompt(shared=shared, text=text, read=read, is_chat=self.is_chat)

    def choose(self, labels: Sequence[str], **records: Any) -> Prompt:
        """A prompt that asks how probable each label is as the beginning of the answer."""
        shared, text, positions, _ = self._render(records)
        if positions:
            raise ConfigError(f"prompt {self.name} reads labels of its own; other labels cannot be read")
        return Prompt(shared=shared, text=text, read=ReadChoice(tuple(labels)), is_chat=self.is_chat)

    def parts(self, **records: Any) -> tuple[str, str]:
        """What many prompts share, and the prompt's own text, for a reader that is no language model."""
        rendered = self._render(records)
        return "".join(rendered.shared), rendered.text

    def required_labels(self) -> Labels:
        """The labels. Raises ConfigError for a prompt that has none, so that no simulator can use it."""
        if self.labels is None:
            raise ConfigError(f"prompt {self.name} has no labels in its front matter, so none can be read")
        return self.labels

    def _render(self, records: dict[str, Any]) -> _Rendered:
        try:
            body = _environment().get_template(self.name)
            rendered = body.render(**records, cases=self.cases, **_MARKS)
        except jinja2.TemplateError as error:
            raise ConfigError(f"prompt {self.name}: {error}") from None
        *shared, text = rendered.split(SHARED_END)
        plain: list[str] = []
        places: dict[str, list[int]] = {READ_HERE: [], SPAN_BEGIN: [], SPAN_END: []}
        start = 0
        for part in _MARKED.split(text):
            if part in places:
                places[part].append(start)
            else:
                plain.append(part)
                start += len(part)
        spans = tuple(zip(places[SPAN_BEGIN], places[SPAN_END], strict=True))
        return _Rendered(tuple(shared), "".join(plain), tuple(places[READ_HERE]), spans)


class _Rendered(NamedTuple):
    """A prompt without the marks of its template."""

    shared: tuple[str, ...]
    text: str
    positions: tuple[int, ...]  # in `text`, where labels are read
    spans: tuple[tuple[int, int], ...]  # in `text`, what tells of the unit


@functools.cache
def template(name: str) -> Template:
    """The prompt of the package with that name, or the user's own in the file at that path.

    Raises ConfigError if there is none, naming those that exist, or if it cannot be read.
    """
    if name.endswith(".jinja"):
        return _template_in(name, Path(name).resolve().parent, Path(name).name)
    folder = resources.files("scrutable.prompts")
    known = sorted(
        f.name.removesuffix(".jinja")
        for f in folder.iterdir()
        if f.name.endswith(".jinja") and not f.name.startswith("_")
    )
    if name not in known:
        raise ConfigError(
            f"no prompt named {name!r} (known: {', '.join(known)}; a file of your own ends in .jinja)"
        )
    return _template_in(name, folder, f"{name}.jinja")


def _template_in(name: str, folder: Traversable, file: str) -> Template:
    try:
        source = (folder / file).read_text(encoding="utf-8")
        header, _ = _split_front_matter(source)
        cases_file = header.get("cases")
        cases_text = (folder / cases_file).read_text(encoding="utf-8") if cases_file else ""
        about = header["about"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError) as error:
        raise ConfigError(
            f"prompt {name}: cannot be read ({error}); it needs front matter with `about`, like those of the "
            "package"
        ) from None
    shared_text = (resources.files("scrutable.prompts") / "_macros.jinja").read_text(encoding="utf-8")
    labels = header.get("labels")
    return Template(
        name=name,
        about=about,
        is_chat=header.get("chat", False),
        stop=tuple(header.get("stop", ())),
        labels=_labels(labels) if labels else None,
        digest=hashlib.sha256("\0".join((source, cases_text, shared_text)).encode()).hexdigest()[:16],
        cases=tuple(yaml.safe_load(cases_text)) if cases_text else (),
    )


def unmarked(text: str) -> str:
    """A text as it is, character by character, but for our own marks, which are no longer that."""
    return text.translate({ord(mark): "\ufffd" for mark in _MARKS.values()})


def visible(token: str) -> str:
    """A token on one line of a prompt: line breaks and tabs spelt out, our own marks removed."""
    return token.translate(_SPELT_OUT)


def unhighlighted(text: str) -> str:
    """A text in which nothing looks like a highlight: a prompt's own text has been an explainer's prompt."""
    return text.replace("<<", "‹‹").replace(">>", "››")


def _labels(header: dict[str, Any]) -> Labels:
    strings = tuple(str(label) for label in header["levels"])
    levels = [float(level) for level in header["levels"].values()]
    has_rest = "rest" in header
    return Labels(strings, tuple(levels + ([float(header["rest"])] if has_rest else [])), has_rest)


class _Loader(jinja2.BaseLoader):
    """Prompt files, without their front matter: a user's by its path, those of the package by name."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str | None, None]:
        del environment
        file = template if template.endswith(".jinja") else f"{template}.jinja"
        packaged = resources.files("scrutable.prompts") / file
        place = packaged if file == "_macros.jinja" or template != file else Path(template)
        return _split_front_matter(place.read_text(encoding="utf-8"))[1], None, None


@functools.cache
def _environment() -> SandboxedEnvironment:
    # A prompt may be somebody's file: it may use what it is given, and nothing else of Python.
    environment = SandboxedEnvironment(
        loader=_Loader(),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters["visible"] = visible
    environment.filters["unmarked"] = unmarked
    environment.filters["unhighlighted"] = unhighlighted
    return environment


def _split_front_matter(source: str) -> tuple[dict[str, Any], str]:
    if not source.startswith("---\n"):
        return {}, source
    header, _, body = source[4:].partition("\n---\n")
    return yaml.safe_load(header), body
