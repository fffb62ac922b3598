"""How long an explanation is, in bits: the ruler of rate-distortion curves and of matched budgets.

Two rulers, because two kinds of thing are measured. A program is written in a fixed prefix code of its
grammar; everything else is text, and a text is as long as its shorter form, plain or compressed. A program's
code knows the grammar and a text's compressor knows no English, so between the two kinds the ruler favours
programs; within one kind it is fair.
"""

from __future__ import annotations

import math
import zlib

from scrutable.pipeline.errors import ParseError
from scrutable.pipeline.program_text import read_program
from scrutable.pipeline.programs import (
    LONGEST,
    SHAPES,
    TEXT_TESTS,
    WIDEST,
    After,
    Class,
    Combined,
    First,
    Matches,
    Not,
    Program,
    Shape,
    Test,
    Text,
    Within,
)
from scrutable.pipeline.records import Explanation
from scrutable.pipeline.word_classes import word_classes

_KIND = math.log2(9 + len(TEXT_TESTS))  # which kind of node, or the end of a list
_LEVEL = math.log2(10)
_CHARACTER = 5.0  # a letter, or an escape before one of the 2**16 other characters
_OTHER = _CHARACTER + 16.0
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123")  # 30 symbols, one end, one escape


def description_bits(explanation: Explanation) -> float:
    """Length of an explanation in bits: `program_bits` of a program that can be read, else `text_bits`."""
    if explanation.language == "program":
        try:
            return program_bits(read_program(explanation.text))
        except ParseError:
            pass  # what is no program is a text
    return text_bits(explanation.text)


def text_bits(text: str) -> float:
    """8 times the bytes of a text in UTF-8, or of its raw deflate stream if that is shorter."""
    plain = text.encode("utf-8", errors="surrogatepass")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    return 8.0 * min(len(plain), len(packed))


def program_bits(program: Program) -> float:
    """Length of a program under a prefix code of its grammar.

    Each node costs the choice among kinds of node; a shape, class, level or number costs the choice among
    those there are; strings cost 5 bits for each of 30 common characters and 21 for any other, and an
    end; lists of rules, parts and strings cost an end. Adding a rule always costs bits.
    """
    return sum(_LEVEL + _test(rule.test) for rule in program.rules) + _KIND


def _test(test: Test) -> float:
    match test:
        case Shape():
            return _KIND + math.log2(len(SHAPES))
        case Text(_, strings):
            return _KIND + sum(map(_string, strings)) + _CHARACTER
        case Class():
            return _KIND + math.log2(len(word_classes()))
        case Matches(pattern):
            return _KIND + _string(pattern)
        case After(inner) | Not(inner):
            return _KIND + _test(inner)
        case Within(_, inner):
            return _KIND + math.log2(WIDEST) + _test(inner)
        case First():
            return _KIND + math.log2(LONGEST)
        case Combined(_, parts):
            return _KIND + sum(map(_test, parts)) + _KIND


def _string(string: str) -> float:
    return sum(_CHARACTER if c in _LETTERS else _OTHER for c in string.casefold()) + _CHARACTER
