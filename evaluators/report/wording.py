"""How numbers are printed: digits, signs, units, and what stands where there is no number."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
