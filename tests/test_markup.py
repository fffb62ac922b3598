"""What of an excerpt is shown to an explainer, and what is marked in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from toy_excerpts import excerpt

from scrutable.pipeline.markup import AFTER, BEFORE, Piece, highlighted, strongest_tokens
from scrutable.pipeline.records import Excerpt


def marked(shown: Excerpt, share: float = 0.5) -> str:
    return "".join(f"<<{p.text}>>" if p.is_marked else p.text for p in highlighted(shown, share=share))


@st.composite
def excerpts(draw: st.DrawFn) -> Excerpt:
    token = st.text(max_size=4) | st.sampled_from([" ", "\n", " a", "a ", " \n"])
    pairs = draw(st.lists(st.tuples(token, st.integers(0, 4)), max_size=50))
    n_context = draw(st.integers(0, len(pairs)))
    return excerpt([t for t, _ in pairs], [a for _, a in pairs], n_context=n_context)


def test_tokens_of_at_least_the_share_of_the_maximum_are_marked() -> None:
    shown = excerpt(["the", " cat", " sat", " down"], [0, 4, 2, 1.9])
    assert marked(shown) == "the <<cat sat>> down"
    assert marked(shown, share=0.51) == "the <<cat>> sat down"


def test_neighbouring_marked_tokens_are_one_piece_and_its_space_stays_outside() -> None:
    assert highlighted(excerpt([" a", " frying", " pan", "!"], [0, 1, 1, 0]), share=0.5) == (
        Piece("a", False),
        Piece(" ", False),
        Piece("frying pan", True),
        Piece("!", False),
    )


def test_white_space_around_a_mark_stays_outside_and_white_space_alone_is_marked_itself() -> None:
    assert marked(excerpt(["x", "\n", " cat", "\n"], [0, 1, 1, 1])) == "x\n <<cat>>\n"
    newline = excerpt(["x", " \n", "y"], [0, 1, 0])
    assert marked(newline) == "x<< \n>>y"
    assert strongest_tokens([newline], share=0.5, count=2) == (" \n",)


def test_context_is_shown_and_never_marked_however_strong_it_is() -> None:
    shown = excerpt(["BOS", " a", " cat"], [99, 99, 1], n_context=2)
    assert marked(shown) == "BOS a <<cat>>"
    assert strongest_tokens([shown], share=0.5, count=5) == ("cat",)


def test_a_silent_excerpt_has_no_marks_and_no_strongest_tokens() -> None:
    shown = excerpt(["a", " b"], [0, 0])
    assert marked(shown) == "a b"
    assert strongest_tokens([shown], share=0.5, count=5) == ()


def test_the_cut_keeps_more_before_the_peak_than_after_it() -> None:
    words = [f" {t}" for t in range(100)]
    shown = marked(excerpt(words, [t == 50 for t in range(100)])).split()
    assert shown == [str(t) if t != 50 else "<<50>>" for t in range(50 - BEFORE, 50 + AFTER + 1)]


def test_of_two_equal_peaks_the_first_is_shown() -> None:
    assert "<<0>>" in marked(excerpt([f" {t}" for t in range(80)], [t in (0, 79) for t in range(80)]))


def test_an_excerpt_without_tokens_has_no_pieces() -> None:
    assert highlighted(excerpt([], []), share=0.5) == ()


@given(excerpts())
def test_taking_the_marks_away_gives_back_the_text_around_the_peak(shown: Excerpt) -> None:
    pieces = highlighted(shown, share=0.5)
    text = "".join(piece.text for piece in pieces)
    assert text in shown.passage.text
    if len(shown.activations) <= AFTER + 1:  # the cut takes nothing away
        assert text.lstrip() == shown.passage.text.lstrip()
    if pieces and not pieces[0].is_marked:  # white space that is marked is what the unit fires on
        assert text == text.lstrip()


@given(excerpts())
def test_no_mark_is_empty_or_begins_or_ends_with_white_space_beside_a_word(shown: Excerpt) -> None:
    pieces = highlighted(shown, share=0.5)
    assert all(piece.text for piece in pieces)
    assert all(piece.text.strip() in (piece.text, "") for piece in pieces if piece.is_marked)


def test_strongest_tokens_are_different_words_strongest_first_then_by_name() -> None:
    shown = excerpt([" b", " a", " c", "c", " d", " e"], [3, 3, 4, 5, 2.6, 0])
    assert strongest_tokens([shown], share=0.5, count=9) == ("c", "a", "b", "d")
    assert strongest_tokens([shown], share=0.5, count=2) == ("c", "a")


def test_each_excerpt_is_measured_by_its_own_maximum() -> None:
    weak, strong = excerpt([" low", " x"], [1, 0.1]), excerpt([" high", " mid"], [9, 2], id="e1")
    assert strongest_tokens([weak, strong], share=0.5, count=9) == ("high", "low")
