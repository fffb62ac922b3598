"""How the words of a study of recursion are put to a reader."""

from __future__ import annotations

import math

STOPS = {
    "": "followed",
    "cut_off": "cut off",
    "loop": "loop",
    "foundation": "foundation",
    "budget": "budget",
    "below_gap": "below the gap",
    "no_job": "no job",
    "no_children": "no children",
}
"""Why a claim is not followed further, in two words."""
STOPS_TOLD = {
    "": "It is followed: the model that wrote it was looked into; the claims below are about its neurons.",
    "cut_off": "The ladder is cut off here: no model above is given, or the depth is reached.",
    "loop": "The ladder loops: the model above is the author itself.",
    "foundation": "The ladder ends on a foundation: the author is a readable program.",
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
KINDS = {
    "own": "own explanations",
    "shuffled": "explanations of other nodes",
    "uncalibrated": "own, not calibrated",
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
