"""How numbers are printed (digits, signs, units, what stands where there is none), and conditions named."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scrutable.pipeline.behaviours.records import Inputs

MINUS = "−"
NO_NUMBER = "–"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number as it is printed. An undefined one reads "undefined" and says why."""

    text: str
    interval: str = ""  # "[0.12, 0.34]"; empty where there is none
    reason: str = ""  # empty if the number is defined

    @property
    def is_defined(self) -> bool:
        """True if there is a number."""
        return not self.reason


def figure(value: float, low: float, high: float, *, reason: str = "", signed: bool = False) -> Figure:
    """A score with its interval; `reason` is told where the value is not a finite number."""
    if not math.isfinite(value):
        return Figure("undefined", reason=reason or "no reason was recorded")
    return Figure(score(value, signed=signed), interval(low, high))


def score(value: float, *, signed: bool = False) -> str:
    """A score with two decimals, three below 0.1; a dash for NaN."""
    if not math.isfinite(value):
        return NO_NUMBER
    places = 3 if abs(value) < 0.0995 else 2 if abs(value) < 100 else 0
    digits = f"{abs(value):,.{places}f}"
    is_zero = not digits.strip("0.")
    sign = "" if is_zero else MINUS if value < 0 else "+" if signed else ""
    return sign + digits


def interval(low: float, high: float) -> str:
    """Both ends of an interval; empty if one of them is not defined."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{score(low)}, {score(high)}]"


def raw(value: float) -> str:
    """An activation in the subject's raw units, three significant digits; a dash for NaN."""
    if not math.isfinite(value):
        return NO_NUMBER
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 1000:
        digits = f"{magnitude:,.0f}"
    elif magnitude >= 0.001:
        decimals = max(0, 2 - math.floor(math.log10(magnitude)))
        digits = f"{magnitude:.{min(decimals, 4)}f}"
    else:
        digits = f"{magnitude:.1e}"
    return (MINUS if value < 0 else "") + digits


def on_scale(value: float, *, scale_max: float) -> str:
    """An activation with as many decimals as tell a hundredth of `scale_max`, at least two."""
    if not math.isfinite(value):
        return NO_NUMBER
    wanted = 2 - math.floor(math.log10(scale_max)) if scale_max > 0 else 2
    digits = f"{abs(value):,.{min(8, max(2, wanted))}f}"
    if not digits.strip("0."):
        return "0"
    return (MINUS if value < 0 else "") + digits


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage with two or three significant digits; a dash for NaN."""
    if not math.isfinite(share):
        return NO_NUMBER
    hundredths = 100 * share
    if 0 < hundredths < 0.001:
        return "< 0.001 %"
    if hundredths >= 99.95 or hundredths == 0:
        return f"{hundredths:.0f} %"
    decimals = 1 if hundredths >= 10 else max(1, 1 - math.floor(math.log10(hundredths)))
    return f"{hundredths:.{decimals}f} %"


def rate(value: float, low: float, high: float, n: int) -> str:
    """For example "70 % [57, 81] of 53": no digit that an interval of this width could support."""
    if not math.isfinite(value):
        return NO_NUMBER
    return f"{100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {n}"


def count(number: int) -> str:
    """A whole number with thousands separated."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """A whole number with its noun in singular or plural."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def clipped(text: str, length: int) -> str:
    """The text on one line, cut to at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: max(0, length - 1)].rstrip() + "…"


BASELINES = {
    "examples": "as many tokens of raw examples (inputs and what the subject did) as the explanation has, "
    "in its place. An explanation that does not beat them has compressed nothing",
    "shuffled": "explanations that the same explainer wrote of other behaviours, in its place",
    "task": "the task alone: the simulator sees the input and is told nothing of the subject",
    "nothing": "the rates of the outcomes on the explain and calibrate splits, whatever the input",
    "many_examples": "a fixed number of raw examples, whatever the length of the explanation",
    "own_answer": "what the simulator’s own model does when it is asked as the subject is",
    "consensus": "what the other models of the run do, on average, when they are asked as the subject is",
}
"""What a gain is taken over, the most telling first."""

CONDITIONS = {
    "nothing": "rates",
    "task": "task alone",
    "examples": "equal-token examples",
    "many_examples": "many examples",
    "explained": "explanation",
    "shuffled": "shuffled explanation",
    "own_answer": "own answer",
    "consensus": "consensus",
}
"""How conditions and baselines are called, in the order of how much they tell."""

READOUTS = {
    "choice": "forced choice: the label that is likeliest as the answer",
    "logit_difference": "difference of the log-probabilities of two labels, against a threshold",
    "next_token": "probability that the answer begins with one of some words, against a threshold",
    "refusal": "phrases of refusal in the answer",
    "text": "parsed from a short answer",
}

INPUTS: dict[Inputs, str] = {
    "all": "all test inputs",
    "surprising": "surprising test inputs alone",
}


def bits(value: float, low: float, high: float, *, reason: str = "") -> Figure:
    """A gain in bits for each input, with its sign and interval."""
    return figure(value, low, high, reason=reason, signed=True)


def share(value: float) -> str:
    """A probability or share in [0, 1] with two decimals; a dash for NaN."""
    return f"{value:.2f}" if math.isfinite(value) else NO_NUMBER
