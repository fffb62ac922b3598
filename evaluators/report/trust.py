"""How the words of a study of recursion are put to a reader."""

from __future__ import annotations

import math

STOPS = {
    "": "followed",
    "cut_off": "cut off",
    "foundation": "foundation",
    "text_only": "text only",
    "budget": "budget",
    "below_gap": "below the gap",
    "no_job": "no job",
    "no_children": "no children",
}
"""Why a claim is not followed further, in two words."""
STOPS_TOLD = {
    "": "It is followed: the model that wrote it was looked into; the claims below are about its neurons.",
    "cut_off": "Not followed: the ladder is cut off here, no model above is given.",
    "foundation": "The ladder ends on a foundation: the author is a readable program.",
    "text_only": "The author’s weights may not be read: none of its writing is accounted for (r = 1).",
    "budget": "Not followed: more claims came in than may be traced.",
    "below_gap": "Not followed: the prompt does not determine the text, so there is nothing to trace.",
    "no_job": "Not followed: the text was not written from a prompt that can be traced.",
    "no_children": "Not followed: nothing in the author could be explained.",
}
"""The same as a sentence."""
SHARES = {
    "discharged": "discharged",
    "stranded": "stranded",
    "passed_up": "passed up",
    "open": "open",
    "gated_out": "gated out",
}
ENDS = {
    "": "",
    "cut_off": "cut off: the depth is reached, or no model above is given",
    "loop": "loop: the author answers for itself",
    "foundation": "foundation: what is trusted next can be read by anybody",
    "text_only": "opaque by access: the author’s weights may not be read",
    "nothing_left": "nothing is left to follow",
}
"""How a ladder ends: the three ways of the trilemma, named, and two more."""
KINDS = {
    "own": "own explanations",
    "null": "explanations of other nodes",
    "shuffled": "of yet other nodes",
    "mean": "mean activation",
}
"""What simulated activations come from."""


def why(reason: str) -> str:
    """The reason of an undefined figure, or that there is none on record."""
    return reason or "no reason was recorded"


def mean(values: list[float]) -> tuple[float, int]:
    """The mean of the finite values, and how many there are; NaN where there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return (math.fsum(finite) / len(finite) if finite else math.nan), len(finite)
