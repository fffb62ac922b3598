"""Articles of a MediaWiki dump, as prose.

What a reader sees as running text is kept; what stands for tables, notes and navigation is not.
Knows the markup of the English Wikipedia best.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from scrutable.pipeline.errors import CorpusError

if TYPE_CHECKING:
    from pathlib import Path

_DROPPED_TAGS = frozenset(
    (
        "ref", "references", "table", "tr", "td", "th", "caption", "gallery", "math", "timeline", "source",
        "syntaxhighlight", "score", "imagemap", "templatestyles", "hr", "chem",
    )
)  # fmt: skip
_DROPPED_LINKS = re.compile(r"\s*(file|image|category|media)\s*:", re.IGNORECASE)
_INTERLANGUAGE = re.compile(r"\s*(?:[a-z]{2,3}(?:-[a-z]+)*|simple):")
_BACK_MATTER = frozenset(
    (
        "see also", "references", "external links", "further reading", "notes", "footnotes", "bibliography",
        "sources", "citations", "notes and references", "references and notes", "works cited", "gallery",
    )
)  # fmt: skip
# Comments, and references: a quotation mark too many near a reference hides it from the parser.
_UNREAD = re.compile(r"<!--.*?-->|<ref\b[^>]*/>|<ref\b[^>]*>.*?</ref\s*>", re.DOTALL | re.IGNORECASE)
# Templates that stand for words of a sentence: which of their arguments a reader sees.
_SPOKEN: dict[str, int | str] = {
    "lang": -1, "transl": -1, "transliteration": -1, "nihongo": 0, "nowrap": 0, "nobr": 0, "small": 0,
    "smaller": 0, "big": 0, "angbr": 0, "vanchor": 0, "visible anchor": 0, "quote": 0, "blockquote": 0,
    "nts": 0, "dts": 0, "sup": 0, "sub": 0, "mvar": 0, "math": 0, "abbr": 0, "flag": 0, "flagcountry": 0,
    "keypress": 0, "ipa": 0,
    "pipe": "|", "!": "|", "·": " ·", "ndash": " – ", "mdash": " — ", "mdashb": " — ", "snd": " – ",
    "spaced ndash": " – ",
}  # fmt: skip
_RANGE_WORDS = frozenset({"to", "and", "or", "by", "x", "-", "–"})

# What is left of markup that does not parse, and the holes that dropped templates leave in a sentence.
_TIDYINGS = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"__[A-Z]+__", ""),
        (r"^[ \t]*(?:\{\||\|[-}]|\||!).*$", ""),  # rows of broken tables
        (r"\[\[|\]\]|\{\{|\}\}|'{2,}", ""),
        (r"^(?:File|Image):.*$", ""),  # a link that the parser gave up on
        (r"[ \t\xa0]+", " "),
        (r"\([ ,;:]*\)", ""),
        (r"\( ?[,;:] ?", "("),
        (r"[ ,;:]+\)", ")"),
        (r"\( ", "("),
        (r" +([,.;])(?=\s|$)", r"\1"),
        (r"  +", " "),
        (r"^[ *#:;]+|[ ]+$", ""),
        (r"\n{3,}", "\n\n"),
    )
)


class Article(NamedTuple):
    """A page of an encyclopedia."""

    title: str
    prose: str


def wiki_articles(path: Path) -> Iterator[Article]:
    """The articles of a pages-articles dump (.xml, .bz2): pages of namespace 0 that are no redirects.

    Raises CorpusError, while iterating, for a file that is no XML.
    """
    import bz2
    import xml.etree.ElementTree as ElementTree

    with bz2.open(path, "rb") if path.name.lower().endswith(".bz2") else path.open("rb") as file:
        try:
            for page in _pages(file):
                if page.findtext("{*}ns") == "0" and page.find("{*}redirect") is None:
                    markup = page.findtext("{*}revision/{*}text") or ""
                    yield Article(page.findtext("{*}title", ""), wiki_prose(markup))
        except ElementTree.ParseError as error:
            raise CorpusError(
                f"corpus {path} is no MediaWiki XML ({error}); give a pages-articles dump"
            ) from error


def wiki_prose(markup: str) -> str:
    """The prose of a wiki page: headings are plain lines, links are their text.

    Tables, references, files, categories, formulas, most templates, and the sections that only list
    sources and links are left out.
    """
    import mwparserfromhell

    blocks: list[tuple[int, list[str]]] = [(0, [])]  # (level of the heading, its line and what follows)
    omitted = 0  # level of the heading that opened the part left out; 0: nothing is being left out
    for node in mwparserfromhell.parse(_UNREAD.sub("", markup)).nodes:
        if isinstance(node, mwparserfromhell.nodes.Heading) and (not omitted or node.level <= omitted):
            title = _rendered(node.title).strip()
            omitted = node.level if title.casefold() in _BACK_MATTER else 0
            blocks += [] if omitted else [(node.level, [])]
        if not omitted:
            blocks[-1][1].append(_rendered_node(node))
    return "\n\n".join(_without_empty([(level, _tidied("".join(parts))) for level, parts in blocks]))


def _pages(file: IO[bytes]) -> Iterator[Any]:
    import xml.etree.ElementTree as ElementTree

    events = ElementTree.iterparse(file, events=("start", "end"))
    _, root = next(events)
    for event, element in events:
        if event == "end" and element.tag.rpartition("}")[2] == "page":
            yield element
            root.clear()  # the tree would grow to the size of the dump


def _without_empty(blocks: list[tuple[int, str]]) -> list[str]:
    """The blocks but for those that are a heading over nothing, such as over a dropped table."""
    kept: list[str] = []
    level_below = 0
    for level, text in reversed(blocks):
        if text and (not level or "\n" in text or level_below > level):
            kept.append(text)
            level_below = level
    return kept[::-1]


def _rendered(code: Any) -> str:
    return "".join(_rendered_node(node) for node in code.nodes) if code is not None else ""


def _rendered_node(node: Any) -> str:
    from mwparserfromhell import nodes

    match node:
        case nodes.Text():
            return str(node.value)
        case nodes.Wikilink():
            return _rendered_link(node)
        case nodes.Tag():
            name = str(node.tag).strip().lower()
            if name in _DROPPED_TAGS:
                return ""
            return "\n" if name == "br" else _rendered(node.contents)
        case nodes.Template():
            return _rendered_template(node)
        case nodes.Heading():
            return f"\n\n{_rendered(node.title).strip()}\n\n"
        case nodes.ExternalLink():
            return _rendered(node.title) if node.brackets else str(node.url)
        case nodes.HTMLEntity():
            return str(node.normalize())
        case _:  # comments, and arguments of templates
            return ""


def _rendered_link(link: Any) -> str:
    title = str(link.title)
    if _DROPPED_LINKS.match(title):
        return ""
    if link.text is not None:
        return _rendered(link.text)
    return "" if _INTERLANGUAGE.match(title) else _rendered(link.title).strip().removeprefix(":")


def _rendered_template(template: Any) -> str:
    name = " ".join(str(template.name).split()).lower()
    spoken = _SPOKEN.get(name, -1 if name.startswith("lang-") else None)
    arguments = [_rendered(p.value).strip() for p in template.params if not p.showkey]
    if isinstance(spoken, str):
        return spoken
    if not arguments:
        return ""
    if spoken is not None:
        return arguments[spoken]
    if name in ("convert", "cvt"):  # {{convert|5|km|mi}}, {{convert|5|to|10|km}}
        return " ".join(arguments[: 4 if arguments[1:2] and arguments[1] in _RANGE_WORDS else 2])
    return f"As of {arguments[0]}" if name == "as of" else ""


def _tidied(text: str) -> str:
    """The text after all tidyings, until they find nothing more: one may uncover work for another."""
    before = None
    while text != before:
        before = text
        for pattern, replacement in _TIDYINGS:
            text = pattern.sub(replacement, text)
    return text.strip()
