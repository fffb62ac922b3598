"""Judges: each asks questions about a unit whose right answers are known, and has an explanation answer."""

from typing import Any

from scrutable.evaluators.judges.causal import CausalJudge
from scrutable.evaluators.judges.detection import DetectionJudge
from scrutable.evaluators.judges.fuzzing import FuzzingJudge
from scrutable.evaluators.judges.generative import GenerativeJudge
from scrutable.evaluators.judges.intruder import IntruderJudge

JUDGES: dict[str, Any] = {
    "detection": DetectionJudge,
    "fuzzing": FuzzingJudge,
    "intruder": IntruderJudge,
    "causal": CausalJudge,
    "generative": GenerativeJudge,
}
"""`kind` in the config to a class: (name, config, services) makes a `Judge`; `metric` says how its verdicts
become a score, `reads_explanations` whether it needs any."""
