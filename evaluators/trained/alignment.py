"""Where in a simulator's tokens to read the prediction for each token of a subject, by characters.

Subject and simulator may cut a text differently: words, parts of words, bytes of an emoji. Nothing is known
here of either tokenizer but where its tokens begin.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def reading_places(pieces: Sequence[str], starts: Sequence[int], *, shift: int = 0) -> list[int]:
    """(T,) for each piece the last simulator token that begins before the piece ends.

    A causal reader has then read the whole piece, and at most what shares a token with its end. White space
    at the end of a piece is left out, since a simulator may join it to the next word. An empty piece, such
    as a byte in the middle of a character, is read where the piece before it is.

    Args:
        pieces: (T,) of the subject; together they are the text.
        starts: (S,) the character at which each simulator token begins, not descending; S > 0.
        shift: characters that stand before the text in what the simulator reads.
    """
    ends, position = [], shift
    for piece in pieces:
        bare = piece.rstrip() or piece
        ends.append(position + len(bare))
        position += len(piece)
    places = np.searchsorted(np.asarray(starts), ends, side="left") - 1
    return np.maximum(np.maximum.accumulate(places), 0).tolist() if ends else []
