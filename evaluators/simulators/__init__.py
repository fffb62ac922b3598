"""Simulators: each predicts a unit on passages from one kind of explanation alone."""

from typing import Any

from scrutable.evaluators.simulators.compiled import CompiledSimulator
from scrutable.evaluators.simulators.ngrams import NgramsSimulator
from scrutable.evaluators.simulators.probe import ProbeSimulator
from scrutable.evaluators.simulators.program import ProgramSimulator
from scrutable.evaluators.simulators.prompted import PromptedSimulator
from scrutable.evaluators.simulators.table import TableSimulator
from scrutable.evaluators.simulators.trained import TrainedSimulator

SIMULATORS: dict[str, Any] = {
    "prompted": PromptedSimulator,
    "trained": TrainedSimulator,
    "compiled": CompiledSimulator,
    "table": TableSimulator,
    "ngrams": NgramsSimulator,
    "program": ProgramSimulator,
    "probe": ProbeSimulator,
}
"""`kind` in the config to a class: (name, config, services) makes a `Simulator`;
`language` is what it reads."""
