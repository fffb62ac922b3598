"""Tokens that differ: each subject token is read where the simulator has read it whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import byte_tokenizer

from scrutable.evaluators.trained.alignment import reading_places


def test_equal_tokens_are_read_one_by_one() -> None:
    assert reading_places(["The", " cat", " sat"], [0, 3, 7]) == [0, 1, 2]


def test_a_word_in_several_pieces_of_the_simulator_is_read_at_the_last() -> None:
    assert reading_places(["The", " category"], [0, 3, 7]) == [0, 2]


def test_several_pieces_of_the_subject_in_one_token_are_read_there() -> None:
    assert reading_places(["The", " cat", "egory"], [0, 3]) == [0, 1, 1]


def test_white_space_at_the_end_of_a_piece_does_not_wait_for_the_next_word() -> None:
    assert reading_places(["The ", "cat"], [0, 3]) == [0, 1]  # "The", " cat"


def test_a_piece_of_white_space_alone_is_read_where_it_stands() -> None:
    assert reading_places(["a", "\n", "b"], [0, 1, 2]) == [0, 1, 2]


def test_a_space_that_the_prompt_put_in_front_shifts_all_places() -> None:
    assert reading_places(["The", " cat"], [0, 4], shift=1) == [0, 1]


def test_an_empty_piece_is_read_where_the_one_before_it_is() -> None:
    assert reading_places(["\U0001f600", "", " a"], [0, 0, 0, 1, 2]) == [2, 2, 4]


TEXT = st.text(st.sampled_from("ab é日本\n\t.😀👩‍🚀 "), min_size=1, max_size=40)


@given(TEXT, st.data())
def test_a_byte_tokenizer_has_read_every_piece_to_its_last_byte_and_no_further_word(
    text: str, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(text) - 1)))) | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    offsets = byte_tokenizer()(text, return_offsets_mapping=True)["offset_mapping"]
    places = reading_places(pieces, [start for start, _ in offsets])
    assert len(places) == len(pieces)
    assert places == sorted(places)
    end = 0
    for piece, place in zip(pieces, places, strict=True):
        bare_end = end + len(piece.rstrip() or piece)
        end += len(piece)
        assert offsets[place][0] < max(bare_end, 1)  # begins before the piece ends ...
        assert place + 1 == len(offsets) or offsets[place + 1][0] >= bare_end  # ... and is the last that does


@pytest.mark.parametrize("pieces", [[], [""]])
def test_nothing_to_read_gives_no_place_beyond_the_text(pieces: list[str]) -> None:
    assert all(place == 0 for place in reading_places(pieces, [0]))
