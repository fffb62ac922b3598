"""The section of a config that says how far, and how carefully, authors are looked into."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from scrutable.pipeline.placement import DtypeName
from scrutable.pipeline.records import Split
from scrutable.pipeline.sections import AskingConfig, Name, PositiveInt, Section, Share


class RulesConfig(Section):
    """The rule table of SCIENCE.md 2.6: fixed before the run, and the only source of verdicts."""

    regress_supported: float = 0.10  # H1: v below this at levels 1 and 2, upper 95 % bound
    regress_refuted: float = 0.50  # H1: v above this at level 1, lower 95 % bound
    conserved: float = 0.90  # H2: unresolved trust above this, lower 95 % bound
    released: float = 0.70  # H2: unresolved trust below this, upper 95 % bound
    flat: Annotated[float, Field(ge=0)] = 0.05  # H3: slopes smaller than this count as none
    near_best: float = 0.05  # H4: a readable surrogate so near the best explainer replaces it
    replaced: float = 0.75  # H5: a replica keeps more than this of the gain
    irreplaceable: float = 0.25  # H5: or less than this
    fewest_claims: PositiveInt = 20  # fewer say nothing
    widest: float = 0.5  # intervals wider than this say nothing


class WorkingConfig(Section):
    """How the author's working text is cut into excerpts of its neurons."""

    window: PositiveInt = 32  # tokens of the author
    skip: Annotated[int, Field(ge=0)] = 4  # first tokens of a window, which are not scored
    splits: dict[Split, Share] = {"explain": 0.5, "calibrate": 0.2, "test": 0.3}  # of the jobs
    top: dict[Split, PositiveInt] = {"explain": 8, "calibrate": 2, "test": 3}  # strongest windows
    random: dict[Split, PositiveInt] = {"explain": 8, "calibrate": 8, "test": 8}  # of the others


class ChooserConfig(AskingConfig):
    """A model that is to tell which of several explanations an author wrote."""

    prompt: str = "choose_explanation"
    reads_labels: ClassVar[bool] = False  # the texts that it chooses from are not in the prompt file


class WritingConfig(Section):
    """How the first author's writing is studied as a behaviour, without its weights (SCIENCE.md 2.7)."""

    units: PositiveInt = 12  # held-out units on which procedures are tried, at most
    pairs: PositiveInt = 6  # exemplars and explanations that a procedure is written from, at most
    excerpts: PositiveInt = 4  # strongest excerpts shown of each pair
    prompt: str = "procedure"  # that the next author writes the procedure to
    max_tokens: PositiveInt = 96  # of a procedure
    simulator: ChooserConfig
    """Chooses, and explains in the author's place by following the procedure; writes that too where the next
    author is no model."""


class ParaphraserConfig(AskingConfig):
    """A model that says an explanation again in other words."""

    prompt: str = "paraphrase"
    reads_labels: ClassVar[bool] = False
    max_tokens: PositiveInt = 48
    temperature: Annotated[float, Field(ge=0)] = 0.0


class LenientConfig(Section):
    """Who else reads the claims that are followed, and in which other words (SCIENCE.md 2.4, tier B).

    The reading that finds least in them, all claims of a level together, is the lenient tier.
    """

    simulators: tuple[Name, ...] = ()  # of other families than the one that scores; they read nothing else
    paraphrasers: tuple[ParaphraserConfig, ...] = ()  # best neither the author nor a simulator

    @model_validator(mode="after")
    def _check(self) -> LenientConfig:
        if not self.simulators and not self.paraphrasers:
            raise ValueError("give simulators, paraphrasers, or both")
        return self


def _as_tuple(given: object) -> object:
    return (given,) if isinstance(given, int) else given


class RecursionConfig(Section):
    """How the authors of explanations are looked into."""

    depth: PositiveInt = 2  # levels of claims; the command line may say otherwise
    then: Literal["loop", "cut_off"] = "loop"  # above the last author: itself again, or nobody
    simulator: Name = "trained"  # whose gain is the worth of a claim, and who simulates neurons
    checker: str = "checker"  # simulator that runs programs; empty: nothing can be discharged
    lenient: LenientConfig | None = None  # None: there is no lenient tier
    text_only: tuple[str, ...] = ()  # models whose weights may not be read
    gate: Share = 0.90  # level of the interval of a claim's excess on calibrate, whose low end is > 0
    gap: Annotated[float, Field(ge=0)] = 5.0  # nats between a job's prompt and its counterfactual
    coverage: Share = 0.8  # of a job's content gap, by true patching
    max_nodes: PositiveInt = 8192  # the largest causal set that is tried
    singles: Annotated[int, Field(ge=0)] = 8  # nodes patched alone, in each job
    jobs: Annotated[tuple[PositiveInt, ...], BeforeValidator(_as_tuple), Field(min_length=1)] = (20,)
    """Traced at each level, at most, the others are left open; the last number holds for further levels."""
    children: PositiveInt = 3  # nodes drawn from each causal set
    working: WorkingConfig = WorkingConfig()
    contexts: tuple[PositiveInt, ...] = (8, 16, 32)  # tokens, for the context ceiling; empty: none
    general: bool = True  # also read the author's neurons on the corpus of the subject
    dtype: DtypeName = "auto"  # of the traced model: float32 on a CPU, since effects are small
    known: bool = True  # run planted ladders beside it, whose ledgers are known: about a minute
    random_weights: bool = True  # ask a model of the same shape with random weights for its gap
    writing: WritingConfig | None = None  # also study the first author's writing as a behaviour
    rules: RulesConfig = RulesConfig()

    def jobs_at(self, level: int) -> int:
        """How many jobs are traced at a level of claims, from 1, at most."""
        return self.jobs[min(level, len(self.jobs)) - 1]

    @model_validator(mode="after")
    def _check(self) -> RecursionConfig:
        if self.working.skip >= self.working.window:
            raise ValueError("working.skip must be smaller than working.window")
        return self
