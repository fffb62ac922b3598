"""Families of planted rules: each draws a rule, as a program and as somebody would say it.

The program is the truth, run by the same interpreter as the transparent checker. Phrasings lie in
phrasings.yaml and parts_of_text.yaml. Families in HELD_OUT are never in a lesson, only for measuring.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from scrutable.evaluators.trained.lexicon import Kind, Lexicon, NothingToDraw, WordSet
from scrutable.evaluators.trained.lists import read_yaml, word_list
from scrutable.pipeline.errors import ConfigError
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import (
    TOP_LEVEL,
    After,
    Combined,
    First,
    Matches,
    Not,
    Program,
    Rule,
    Test,
    Text,
    Within,
)

_TRIES = 1000  # rules that are drawn for one that may be said
_ONE_AFFIX_SHARE = 0.8
_REGISTER_SHARE = 0.3  # of descriptions that are put as a sentence about a neuron
_MOST_LISTED = 4
_THEME_LEVELS = (TOP_LEVEL, 6, 3)  # of the degrees of a theme
_COMMON = 400  # words that are frequent enough to stand before something


class Planted(NamedTuple):
    """A rule, and somebody's words for it."""

    family: str
    description: str
    program: Program
    anchors: tuple[str, ...]  # words at or right before which it fires; empty: it fires in most texts
    group: str  # rules of one group are easily taken for each other

    @property
    def test(self) -> Test:
        """The test of the first rule."""
        return self.program.rules[0].test


Draw = Callable[[Random, Lexicon], Planted]


def draw(rng: Random, lexicon: Lexicon, *, families: Sequence[str], excluded: frozenset[str]) -> Planted:
    """A rule of one of the families, whose description is not among the excluded ones.

    Raises ConfigError if the texts are too few for any of the families.

    Args:
        rng: decides everything.
        lexicon: the words that rules are made of.
        families: names in FAMILIES; one that stands there twice is drawn twice as often.
        excluded: descriptions in their `plain` form.
    """
    for _ in range(_TRIES):
        try:
            planted = FAMILIES[rng.choice(families)](rng, lexicon)
        except NothingToDraw:
            continue
        if plain(planted.description) in excluded:
            continue
        said = _in_some_register(rng, planted.description)
        if plain(said) not in excluded:
            return planted._replace(description=said)
    raise ConfigError(
        f"curriculum: {len(lexicon.texts)} texts hold too few known words to plant a rule of "
        f"{', '.join(sorted(set(families)))} in; give a larger corpus"
    )


def _in_some_register(rng: Random, description: str) -> str:
    """The description as it is, or as a sentence about a neuron, with or without a capital letter."""
    if rng.random() < _REGISTER_SHARE:
        description = rng.choice(phrasings()["register"]).format(description)
    if rng.random() < _REGISTER_SHARE:
        description = description[:1].upper() + description[1:]
    return description


def plain(description: str) -> str:
    """A description without case, quotation marks, full stop and doubled spaces, for comparison."""
    kept = "".join(c for c in description.casefold() if c.isalnum() or c.isspace() or c in ",;-")
    return " ".join(kept.split())


@functools.cache
def phrasings() -> dict[str, list[str]]:
    """Kind of rule → format strings."""
    return dict(read_yaml("phrasings.yaml"))


@functools.cache
def _parts_of_text() -> tuple[tuple[Test, tuple[str, ...], bool], ...]:
    return tuple(
        (
            read_program(str(entry["program"])).rules[0].test,
            tuple(entry["says"]),
            entry.get("held_out", False),
        )
        for entry in read_yaml("parts_of_text.yaml")
    )


def _say(rng: Random, kind: str, *slots: object, **fields: object) -> str:
    return rng.choice(phrasings()[kind]).format(*slots, **fields)


def _planted(
    family: str, description: str, test: Test, *, anchors: Sequence[str] = (), group: str = ""
) -> Planted:
    return Planted(family, description, Program((Rule(TOP_LEVEL, test),)), tuple(anchors), group or family)


def _named(words: Sequence[str]) -> dict[str, str]:
    """Words as a list, in quotation marks, and the first of them."""
    quoted = _joined([f'"{word}"' for word in words])
    return {"listed": _joined(words), "quoted": quoted, "example": words[0]}


def _one(name: str) -> str:
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _many(name: str) -> str:
    if name.endswith("man"):
        return f"{name[:-3]}men"
    if re.search("[^aeiou]y$", name):
        return f"{name[:-1]}ies"
    return f"{name}es" if re.search("(s|x|z|ch|sh)$", name) else f"{name}s"


def _joined(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# -- words and sets of words ----------------------------------------------------------------------


def _word(rng: Random, lexicon: Lexicon) -> Planted:
    word = rng.choice(lexicon.frequent)
    said = _say(rng, "word", lexicon.spelt[word])
    return _planted("word", said, Text("word", (word,)), anchors=(word,))


def _words(rng: Random, lexicon: Lexicon) -> Planted:
    words = rng.sample(lexicon.frequent, rng.randint(2, _MOST_LISTED))
    said = _say(rng, "words", **_named([lexicon.spelt[word] for word in words]))
    return _planted("words", said, Text("word", tuple(words)), anchors=words)


def _set_of(family: str, *kinds: Kind, phrasing: str = "", is_held_out: bool = False) -> Draw:
    """Words of a named set."""

    def drawn(rng: Random, lexicon: Lexicon) -> Planted:
        chosen = lexicon.of_kind(*kinds, is_held_out=is_held_out).draw(rng)
        return words_of(rng, lexicon, chosen, family=family, phrasing=phrasing)

    return drawn


def words_of(
    rng: Random, lexicon: Lexicon, chosen: WordSet, *, family: str = "", phrasing: str = ""
) -> Planted:
    """The rule that fires on the words of a set, said by its name, its definition or examples."""
    kind = phrasing or chosen.kind
    if kind == "gloss" and not chosen.definition:
        kind = chosen.kind
    some = rng.sample(chosen.words, min(len(chosen.words), rng.randint(2, _MOST_LISTED)))
    names = _named([lexicon.spelt[word] for word in some])
    name = chosen.name
    said = _say(rng, kind, name, one=_one(name), many=_many(name), definition=chosen.definition, **names)
    test = Text("word", chosen.words)
    return _planted(family or chosen.kind, said, test, anchors=chosen.words, group=chosen.group)


# -- themes ---------------------------------------------------------------------------------------


def _theme(rng: Random, lexicon: Lexicon) -> Planted:
    """What words have to do with, more or less."""
    names, weights = lexicon.taught_themes
    if not names:
        raise NothingToDraw
    return theme_of(rng, lexicon, rng.choices(names, cum_weights=weights)[0])


def theme_of(rng: Random, lexicon: Lexicon, name: str) -> Planted:
    """The graded rule that fires on the words of a theme, said by its name."""
    theme = lexicon.themes[name]
    said = _say(rng, "theme", lexicon.spelt.get(name, name))
    degrees = zip(_THEME_LEVELS, (theme.nearest, theme.near, theme.related), strict=True)
    rules = tuple(Rule(level, Text("word", words)) for level, words in degrees if words)
    return Planted("theme", said, Program(rules), (*theme.nearest, *theme.near), name)


# -- letters and shapes ---------------------------------------------------------------------------


def _affix(family: str) -> Draw:
    def drawn(rng: Random, lexicon: Lexicon) -> Planted:
        del lexicon
        chosen = tuple(rng.sample(word_list(family), 1 if rng.random() < _ONE_AFFIX_SHARE else 2))
        quoted, dashed = _joined([f'"{a}"' for a in chosen]), _joined([f"-{a}" for a in chosen])
        return _planted(family, _say(rng, family, quoted=quoted, dashed=dashed), Text(family, chosen))

    return drawn


def _length(rng: Random, lexicon: Lexicon) -> Planted:
    del lexicon
    n = rng.randint(2, 12)
    if n >= 9:
        return _planted("length", _say(rng, "long", n, n - 1), Matches(f"[A-Za-z]{{{n},}}"))
    return _planted("length", _say(rng, "length", n), Matches(f"[A-Za-z]{{{n}}}"))


def _part_of_text(*, is_held_out: bool) -> Draw:
    def drawn(rng: Random, lexicon: Lexicon) -> Planted:
        del lexicon
        test, says, _ = rng.choice([part for part in _parts_of_text() if part[2] == is_held_out])
        return _planted("new part of text" if is_held_out else "part of text", rng.choice(says), test)

    return drawn


# -- context --------------------------------------------------------------------------------------


def _after(rng: Random, lexicon: Lexicon) -> Planted:
    word = rng.choice(lexicon.frequent[:_COMMON])
    return _planted(
        "after", _say(rng, "after", lexicon.spelt[word]), After(Text("word", (word,))), anchors=(word,)
    )


def _near(rng: Random, lexicon: Lexicon) -> Planted:
    word, k = rng.choice(lexicon.frequent[:_COMMON]), rng.randint(2, 6)
    test = Within(k, Text("word", (word,)))
    return _planted("near", _say(rng, "near", lexicon.spelt[word], k=k), test, anchors=(word,))


def _near_set(rng: Random, lexicon: Lexicon) -> Planted:
    inner, k = _simple(rng, lexicon), rng.randint(2, 6)
    said = _say(rng, "near_set", a=inner.description, k=k)
    return _planted("near set", said, Within(k, inner.test), anchors=inner.anchors)


def _after_set(rng: Random, lexicon: Lexicon) -> Planted:
    inner = _simple(rng, lexicon)
    said = _say(rng, "after_set", a=inner.description)
    return _planted("after set", said, After(inner.test), anchors=inner.anchors)


def _mentioned(rng: Random, lexicon: Lexicon) -> Planted:
    a, b = _part_of_text(is_held_out=False)(rng, lexicon), _simple(rng, lexicon)
    said = _say(rng, "mentioned", a=a.description, b=b.description)
    return _planted("mentioned", said, Combined("and", (a.test, Within(20, b.test))), anchors=b.anchors)


def _position(rng: Random, lexicon: Lexicon) -> Planted:
    del lexicon
    k = rng.randint(2, 8)
    choice = rng.randrange(3)
    if choice == 0:
        return _planted("position", _say(rng, "first", k), First(k))
    if choice == 1:
        return _planted("position", _say(rng, "late", k), Not(First(k)))
    starts = Combined("or", (First(1), After(Text("word", (".", "!", "?")))))
    return _planted("position", _say(rng, "sentence_start"), starts)


# -- rules made of rules --------------------------------------------------------------------------


def _simple(rng: Random, lexicon: Lexicon) -> Planted:
    """A set, an affix or a part of text."""
    return FAMILIES[rng.choice(_SIMPLE)](rng, lexicon)


_SIMPLE = ("noun", "noun", "verb", "topic", "ends", "starts", "words", "part of text", "part of text")


def _except(rng: Random, lexicon: Lexicon) -> Planted:
    a = _set_of("noun", "noun", "verb", "adj")(rng, lexicon)
    word = max(rng.sample(a.anchors, min(3, len(a.anchors))), key=lambda w: lexicon.counts[w])
    test = Combined("and", (a.test, Not(Text("word", (word,)))))
    said = _say(rng, "except", lexicon.spelt[word], a=a.description)
    return _planted("except", said, test, anchors=a.anchors)


def _except_set(rng: Random, lexicon: Lexicon) -> Planted:
    a, b = _part_of_text(is_held_out=False)(rng, lexicon), _simple(rng, lexicon)
    test = Combined("and", (a.test, Not(b.test)))
    return _planted("except set", _say(rng, "except_set", a=a.description, b=b.description), test)


def _both(rng: Random, lexicon: Lexicon) -> Planted:
    a, b = _simple(rng, lexicon), _part_of_text(is_held_out=False)(rng, lexicon)
    said = _say(rng, "both", a=a.description, b=b.description)
    return _planted("both", said, Combined("and", (a.test, b.test)), anchors=a.anchors)


def _only_after(rng: Random, lexicon: Lexicon) -> Planted:
    a, word = _part_of_text(is_held_out=False)(rng, lexicon), rng.choice(lexicon.frequent[:60])
    test = Combined("and", (a.test, After(Text("word", (word,)))))
    said = _say(rng, "only_after", lexicon.spelt[word], a=a.description)
    return _planted("only after", said, test, anchors=(word,))


def _either(rng: Random, lexicon: Lexicon) -> Planted:
    a, b = _simple(rng, lexicon), _simple(rng, lexicon)
    said = _say(rng, "either", a=a.description, b=b.description)
    anchors = (*a.anchors, *b.anchors) if a.anchors and b.anchors else ()
    return _planted("either", said, Combined("or", (a.test, b.test)), anchors=anchors)


def _graded(rng: Random, lexicon: Lexicon) -> Planted:
    a, b = _simple(rng, lexicon), _simple(rng, lexicon)
    said = _say(rng, "graded", a=a.description, b=b.description)
    program = Program((Rule(TOP_LEVEL, a.test), Rule(rng.randint(2, 5), b.test)))
    anchors = (*a.anchors, *b.anchors) if a.anchors and b.anchors else ()
    return Planted("graded", said, program, anchors, "graded")


FAMILIES: dict[str, Draw] = {
    "word": _word,
    "words": _words,
    "noun": _set_of("noun", "noun"),
    "verb": _set_of("verb", "verb"),
    "adj": _set_of("adj", "adj"),
    "gloss": _set_of("gloss", "noun", "verb", "adj", phrasing="gloss"),
    "topic": _set_of("topic", "topic"),
    "article": _set_of("article", "article"),
    "theme": _theme,
    "examples": _set_of("examples", "noun", "verb", "adj", "topic", phrasing="examples"),
    "ends": _affix("ends"),
    "starts": _affix("starts"),
    "length": _length,
    "part of text": _part_of_text(is_held_out=False),
    "after": _after,
    "near": _near,
    "near set": _near_set,
    "mentioned": _mentioned,
    "position": _position,
    "except": _except,
    "both": _both,
    "only after": _only_after,
    "either": _either,
    "graded": _graded,
    "new set": _set_of("new set", "noun", "verb", "adj", "topic", is_held_out=True),
    "new part of text": _part_of_text(is_held_out=True),
    "contains": _affix("contains"),
    "after set": _after_set,
    "except set": _except_set,
}
"""Name → what draws a rule of the family."""

HELD_OUT = ("new set", "new part of text", "contains", "after set", "except set")
"""Families that are for measuring only."""

_TAUGHT_SHARES = {
    "word": 2,
    "words": 1,
    "noun": 5,
    "verb": 2,
    "adj": 1,
    "gloss": 2,
    "topic": 2,
    "article": 1,
    "theme": 10,
    "examples": 2,
    "ends": 2,
    "starts": 2,
    "length": 1,
    "part of text": 5,
    "after": 2,
    "near": 1,
    "near set": 2,
    "mentioned": 1,
    "position": 1,
    "except": 1,
    "both": 1,
    "only after": 2,
    "either": 2,
    "graded": 1,
}
TAUGHT = tuple(name for name, share in _TAUGHT_SHARES.items() for _ in range(share))
"""Families of lessons; one that stands there twice is drawn twice as often."""

TAUGHT_BY_LISTS = tuple(name for name in TAUGHT if name != "theme")
"""Those that need no encoder of sentences."""
