"""One sequential colour scale for activations: a single blue hue, light enough for dark text.

The hue carries no meaning beyond its lightness, so the scale survives colour blindness and a
greyscale print.
"""

from __future__ import annotations

import math

STEPS = 24
"""Number of shades; shade 0 is an activation of zero and has no colour."""

_ANCHORS = ((255, 255, 255), (219, 233, 246), (143, 192, 230), (62, 139, 207))


def palette() -> tuple[str, ...]:
    """The shades as #rrggbb, from none to the strongest."""
    return tuple(_mixed(step / (STEPS - 1)) for step in range(STEPS))


def shade(value: float, *, scale_max: float) -> int:
    """The shade of an activation on a scale from 0 to `scale_max`; outside values take the end."""
    if not (value > 0 and scale_max > 0):
        return 0
    # Anything that fires at all is told from silence, however weak it is.
    return min(STEPS - 1, max(1, math.floor(value / scale_max * (STEPS - 1) + 0.5)))


def _mixed(position: float) -> str:
    """The colour at a position in [0, 1], interpolated linearly between the anchors."""
    last = len(_ANCHORS) - 1
    left = min(int(position * last), last - 1)
    share = position * last - left
    pairs = zip(_ANCHORS[left], _ANCHORS[left + 1], strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)
