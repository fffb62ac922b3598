"""A study of recursion: the stages of a ladder, level by level, each doing what its part files lack.

    run of level k - 1 ─▶ jobs ─▶ causes ─▶ draw nodes ─▶ run of level k on the working text ─▶ substitute
                                                                                        └─▶ ... ─▶ ledger

Level k of a folder holds units of model k: of the subject for 0, of the author of the claims of level k from
1 on. A part is one job, so an interruption costs at most one.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from scrutable.pipeline.config import AUTHOR, RecurseConfig
from scrutable.pipeline.errors import ScrutableError
from scrutable.pipeline.protocols import (
    AssignNulls,
    Evidence,
    Explanatory,
    Simulator,
    TraceableExplainer,
    Watch,
)
from scrutable.pipeline.records import Excerpt, Explanation, Metric, Score, Unit
from scrutable.pipeline.recursion.attribution import find_cause, overlaps
from scrutable.pipeline.recursion.jobs import (
    Draft,
    Traced,
    document_of,
    task_of,
    trace_job,
    untraced,
    written_reply,
)
from scrutable.pipeline.recursion.protocols import FitMap, LikelihoodsOf, Task, Writer
from scrutable.pipeline.recursion.records import Cause, Job, Node, Overlap, Patch, Substitution
from scrutable.pipeline.recursion.substitution import Drawn, Reading, substitute
from scrutable.pipeline.recursion.transfer import BorrowingSource, TransferParts, shift, transfer
from scrutable.pipeline.recursion.working import WorkingSource, WorkingText
from scrutable.pipeline.runner import Runner, Source
from scrutable.pipeline.store import RunFolder

T = TypeVar("T")
FOLLOWED = "level-0-followed"
"""The level of those who follow what was written of the first author, in its place."""


def again(level: int) -> str:
    """The level in which the lenient tier reads the claims of a level."""
    return f"level-{level - 1}-again"


class NothingToFollow(ScrutableError):
    """No claim of the first level can be followed: the ledger is empty, and honestly so."""


class Clears(Protocol):
    """Whether a claim is worth following: its excess over the null on calibrate lies above 0."""

    def __call__(self, evidence: Evidence, *, level: float, seed: int, draws: int) -> bool: ...


class RecursionEvaluation(NamedTuple):
    """The judges of a ladder."""

    clears: Clears
    fit: FitMap
    assign_nulls: AssignNulls


class LadderParts(TransferParts, Protocol):
    """Makes the parts of a ladder; models are opened when they are first asked for."""

    def run_of_subject(self) -> Runner:
        """The run of level 0."""
        ...

    def run_of(self, level: int, source: Source) -> Runner:
        """The run of another level."""
        ...

    def pairs(self, level: int) -> Sequence[tuple[str, str]]:
        """Explainers and simulators of a level's run that read each other."""
        ...

    def read_again(self, level: int, source: Source) -> Runner:
        """The run of the lenient tier over claims of a level."""
        ...

    def followed(self, procedures: Mapping[str, str], source: Source) -> Runner:
        """The run of explainers that follow procedures, by name."""
        ...

    def author(self, level: int) -> TraceableExplainer:
        """Who wrote the claims of a level, from 1."""
        ...

    def is_traceable(self, level: int) -> bool:
        """False for an author that is a readable program, or whose weights may not be read."""
        ...

    def writer(self, level: int) -> Writer:
        """The same author, opened up."""
        ...

    def twin(self, level: int) -> LikelihoodsOf | None:
        """A model of its shape with random weights; None where the config wants none."""
        ...

    def release(self) -> None:
        """Lets go of the memory of opened authors."""
        ...

    def simulator(self, level: int, name: str) -> Simulator: ...


Gains = Mapping[tuple[str, str], Mapping[str, float]]
"""(explainer, simulator) → unit → excess gain in bits for each token, where it is defined."""


@dataclass(frozen=True)
class Ladder:
    """One study: its config, its folder, and the makers of its parts."""

    config: RecurseConfig
    depth: int
    folder: RunFolder  # its level is `tables.LEVEL`
    parts: LadderParts
    evaluation: RecursionEvaluation
    watch: Watch
    _drafts: dict[int, dict[str, Draft]] = field(default_factory=dict)

    def run(self) -> None:
        """All levels, up to the last that has an author above it.

        Raises NothingToFollow where no claim of the first level passes both gates.
        """
        self.parts.run_of_subject().run()
        shift(self.folder.path, self.parts, shard=self.config.shard)
        for level in range(1, self.depth + 1):
            if self.parts.is_traceable(level):
                self._write_jobs(level)
            if level == 1 and not self.in_tree(1):
                raise NothingToFollow(self._why_nothing())
            self._read_again(level)
            if not self.parts.is_traceable(level):
                return
            if self.config.author(level + 1) is None:
                return
            self._write_causes(level)
            if not self.drawn(level):
                return
            self._run_working(level)
            self._substitute(level)
            self.parts.release()
            if self.config.recursion.general:
                self._transfer(level)

    def _transfer(self, level: int) -> None:
        """The explained nodes on the general corpus too."""
        units = sorted(self.explanations(level + 1))
        if units:
            transfer(self.folder.path, self.parts, level=level, units=units, shard=self.config.shard)

    # -- claims of a level --------------------------------------------------------------------

    def level_folder(self, number: int) -> RunFolder:
        """Where the units of a model lie."""
        return RunFolder(self.folder.path, level=f"level-{number}")

    def explanations(self, level: int, explainer: str = AUTHOR) -> dict[str, Explanation]:
        """Unit → what an explainer wrote at a level of claims, first candidates."""
        return explanations_in(self.level_folder(level - 1), explainer)

    @cached_property
    def cleared(self) -> list[str]:
        """Units of the subject whose explanation passes the gate on calibrate, in a seeded order."""
        runner = self.parts.run_of_subject()
        settings = self.config.recursion
        passed = [
            evidence.unit
            for evidence in runner.evidence(AUTHOR, settings.simulator)
            if evidence.explainer == AUTHOR
            and self.evaluation.clears(
                evidence, level=settings.gate, seed=self.config.seed, draws=self.config.scoring.draws
            )
        ]
        return sorted(passed, key=lambda unit: _hashed(self.config.seed, unit))

    def claimed(self, level: int) -> list[str]:
        """Units about which there are claims at a level: what passed the gate, then what was drawn."""
        if level == 1:
            return self.cleared
        drawn = {unit for units in self.drawn(level - 1).values() for unit in units}
        return sorted(drawn & set(self.explanations(level)), key=lambda u: _hashed(self.config.seed, u))

    def in_tree(self, level: int) -> list[str]:
        """Units whose claims are in the tree: of the roots those that are followed, where any can be."""
        if level == 1 and self.parts.is_traceable(1):
            return [job.unit for job in self.followed(1)]
        return self.claimed(level)

    def gains(self, level: int) -> Gains:
        """What the claims of a level are worth."""
        return gains_of(self.level_folder(level - 1))

    def gains_again(self, level: int) -> Gains:
        """What they are worth to other readers, and in other words; empty without a lenient tier."""
        return gains_of(self._again(level))

    def paraphrases(self, level: int, name: str) -> dict[str, Explanation]:
        """Unit → its claim in the other words of a paraphraser."""
        return explanations_in(self._again(level), name)

    def followed_procedures(self, procedures: Mapping[str, str], units: Sequence[str]) -> None:
        """Units of the subject, explained in the first author's place by following procedures, and scored."""
        own = self.level_folder(0)
        only = frozenset(units) | frozenset(self.in_tree(1))
        source = BorrowingSource(self.followers, own, own, (), self.config.shard, only=only)
        self.parts.followed(procedures, source).run()

    @property
    def followers(self) -> RunFolder:
        """The run of those who follow what was written of the first author."""
        return RunFolder(self.folder.path, level=FOLLOWED)

    def _again(self, level: int) -> RunFolder:
        return RunFolder(self.folder.path, level=again(level))

    def _read_again(self, level: int) -> None:
        """The claims in the tree, by the readers and in the words of the lenient tier."""
        units = frozenset(self.in_tree(level))
        if self.config.recursion.lenient is None or not units:
            return
        own = self.level_folder(level - 1)
        source = BorrowingSource(self._again(level), own, own, (AUTHOR,), self.config.shard, only=units)
        self.parts.read_again(level, source).run()

    def shifted_gains(self, level: int) -> Gains:
        """The same on other text; empty where it was not tried."""
        return gains_of(RunFolder(self.folder.path, level=f"level-{level - 1}-shifted"))

    # -- jobs ---------------------------------------------------------------------------------

    def jobs(self, level: int) -> dict[str, Job]:
        """Unit → its job, for those that were made."""
        return {job.unit: job for job in self._read(Job, "jobs", level)}

    def followed(self, level: int) -> list[Job]:
        """Jobs that are traced, at most as many as the config allows."""
        jobs = self.jobs(level)
        gated = [jobs[unit] for unit in self.claimed(level) if unit in jobs and jobs[unit].is_gated]
        return gated[: self.config.recursion.jobs_at(level)]

    def _write_jobs(self, level: int) -> None:
        """In the claims' seeded order, until as many as may be traced reach the gap."""
        wanted, done = self.config.recursion.jobs_at(level), self.jobs(level)
        todo = [unit for unit in self.claimed(level) if unit not in done]
        if not todo or sum(job.is_gated for job in done.values()) >= wanted:
            return
        drafts, matched = self._drafts_of(level), self._matched(level)
        writer, twin = self.parts.writer(level), self.parts.twin(level)
        with self.watch(f"jobs of level {level}") as progress:
            for number, unit in enumerate(todo, 1):
                job = self._job(level, unit, drafts, matched, writer, twin)
                self.folder.write_records(self._part("jobs", level, unit), Job, [job])
                done[unit] = job
                progress(number, len(todo))
                if sum(job.is_gated for job in done.values()) >= wanted:
                    break

    def _job(
        self,
        level: int,
        unit: str,
        drafts: Mapping[str, Draft],
        matched: Mapping[str, str],
        writer: Writer,
        twin: LikelihoodsOf | None,
    ) -> Job:
        if unit not in drafts:
            explanation = self.explanations(level)[unit]
            reason = "its author shows nothing of the unit in a prompt"
            return untraced(explanation, level=level, author=writer.name, reason=reason)
        return trace_job(
            drafts[unit],
            drafts.get(matched.get(unit, "")),
            writer,
            level=level,
            seed=self.config.seed,
            gap=self.config.recursion.gap,
            random=twin,
        )

    def _drafts_of(self, level: int) -> dict[str, Draft]:
        """Every explanation of the author with its prompt in tokens: the author's working text."""
        if level not in self._drafts:
            author, writer = self.parts.author(level), self.parts.writer(level)
            excerpts = self.level_folder(level - 1).read_excerpts()
            found = {}
            for unit, explanation in sorted(self.explanations(level).items()):
                shown = tuple(e for e in excerpts[unit] if e.split == "explain")
                written = author.written(Explanatory(unit, shown))
                if written is not None:
                    found[unit] = Draft(explanation, writer.read(written))
            self._drafts[level] = found
        return self._drafts[level]

    def _matched(self, level: int) -> dict[str, str]:
        """Unit → another of about its layer and density, whose exemplars make the counterfactual."""
        drafts = self._drafts_of(level)
        folder = self.level_folder(level - 1)
        units = [u for u in folder.read_records(Unit, folder.level / "units.parquet") if u.id in drafts]
        nulls = self.evaluation.assign_nulls(units, count=1, seed=self.config.seed)
        return {unit: others[0] for unit, others in nulls.items() if others}

    # -- causes -------------------------------------------------------------------------------

    def causes(self, level: int) -> dict[str, Cause]:
        """Job → what caused it."""
        return {cause.job: cause for cause in self._read(Cause, "causes", level)}

    def _write_causes(self, level: int) -> None:
        todo = [j for j in self.followed(level) if not self._part("causes", level, j.unit).exists()]
        if todo:
            self._find_causes(level, todo)
        path = self.folder.part("overlaps", str(level))
        if todo or not path.exists():
            everything = list(self.causes(level).values())
            self.folder.write_records(path, Overlap, overlaps(everything, level=level))

    def _find_causes(self, level: int, todo: Sequence[Job]) -> None:
        writer, settings = self.parts.writer(level), self.config.recursion
        with self.watch(f"causes of level {level}") as progress:
            for number, job in enumerate(todo, 1):
                found = find_cause(
                    job,
                    task_of(job, writer),
                    writer,
                    coverage=settings.coverage,
                    max_nodes=settings.max_nodes,
                    singles=settings.singles,
                    seed=self.config.seed,
                )
                nodes = [Node(job.id, *pair) for pair in zip(found.nodes, found.attribution, strict=True)]
                self.folder.write_records(self._part("patches", level, job.unit), Patch, found.patches)
                self.folder.write_records(self._part("nodes", level, job.unit), Node, nodes)
                self.folder.write_records(self._part("causes", level, job.unit), Cause, [found.cause])
                progress(number, len(todo))

    def drawn(self, level: int) -> dict[str, Counter[str]]:
        """Unit of a job → nodes drawn from its causal set, with how often: in proportion to attribution."""
        found = {}
        for job in self.followed(level):
            path = self._part("nodes", level, job.unit)
            nodes = self.folder.read_records(Node, path) if path.exists() else []
            if nodes:
                found[job.unit] = draw_nodes(
                    nodes, count=self.config.recursion.children, seed=self.config.seed
                )
        return found

    # -- the author's neurons -----------------------------------------------------------------

    def _run_working(self, level: int) -> None:
        """Explains and scores the drawn nodes on the author's working text."""
        parents: dict[str, list[str]] = {}
        for document, units in self.drawn(level).items():
            for unit in units:
                parents.setdefault(unit, []).append(document)
        source = WorkingSource(
            texts=lambda: [self._text(level, draft) for draft in self._drafts_of(level).values()],
            parents=parents,
            settings=self.config.recursion.working,
            contexts=self.config.recursion.contexts,
            level=level,
            folder=self.level_folder(level),
            writer=lambda: self.parts.writer(level),
            shard=self.config.shard,
            seed=self.config.seed,
            watch=self.watch,
        )
        self.parts.run_of(level, source).run()

    def _text(self, level: int, draft: Draft) -> WorkingText:
        """An explanation and its prompt as one document."""
        read, reply = draft.read, self.parts.writer(level).tokens(written_reply(draft.explanation))
        lead = min(self.config.recursion.working.skip, len(read.prefix))
        pieces = (*read.prefix_pieces[len(read.prefix) - lead :], *read.pieces, *reply.pieces)
        task = Task(read.prefix, read.ids, (), reply.ids, (), read.spans)
        return WorkingText(document_of(draft.explanation), task, pieces, lead)

    # -- substitution -------------------------------------------------------------------------

    def substitutions(self, level: int) -> list[Substitution]:
        """Of all jobs of a level."""
        return self._read(Substitution, "substitutions", level)

    def _substitute(self, level: int) -> None:
        """Every pair of explainer and simulator of the level above, in every job."""
        todo = [j for j in self.followed(level) if not self._part("substitutions", level, j.unit).exists()]
        if not todo:
            return
        writer, drafts, readings = self.parts.writer(level), self._drafts_of(level), self._readings(level)
        excerpts, drawn = self.level_folder(level).read_excerpts(), self.drawn(level)
        with self.watch(f"substitute at level {level}") as progress:
            for number, job in enumerate(todo, 1):
                nodes = [
                    Drawn(
                        unit=unit,
                        calibrate=tuple(e for e in excerpts.get(unit, ()) if e.split == "calibrate"),
                        mean=_mean(excerpts.get(unit, ())),
                    )
                    for unit in sorted(drawn.get(job.unit, ()))
                ]
                found = substitute(
                    Traced(job, task_of(job, writer)),
                    self._text(level, drafts[job.unit]),
                    nodes,
                    readings,
                    writer,
                    settings=self.config.recursion.working,
                    fit=self.evaluation.fit,
                )
                self.folder.write_records(self._part("substitutions", level, job.unit), Substitution, found)
                progress(number, len(todo))

    def _readings(self, level: int) -> list[Reading]:
        """Each pair of the level's run, with the explanations and those of other nodes in their places."""
        folder = self.level_folder(level)
        units = folder.read_records(Unit, folder.level / "units.parquet")
        found = []
        for explainer, simulator in self.parts.pairs(level):
            own = self.explanations(level + 1, explainer)
            explained = [unit for unit in units if unit.id in own]
            others = self.evaluation.assign_nulls(explained, count=2, seed=self.config.seed)
            null, shuffled = (
                {unit: own[chosen[place]] for unit, chosen in others.items() if len(chosen) > place}
                for place in (0, 1)
            )
            made = self.parts.simulator(level, simulator)
            found.append(Reading(explainer, made, own, null, shuffled))
        return found

    def _read(self, kind: type[T], stage: str, level: int) -> list[T]:
        """The parts of a level, one for each job."""
        return self.folder.read_records(kind, *self.folder.parts_of(stage, str(level)))

    def _part(self, stage: str, level: int, unit: str) -> Path:
        return self.folder.part(stage, f"{level}~{unit}")

    def _why_nothing(self) -> str:
        """One line for an honest empty ledger."""
        n, n_jobs = len(self.explanations(1)), len(self.jobs(1))
        return (
            f"no explanation can be followed: of {n} that were written, {len(self.cleared)} say more of "
            f"their unit than those of other units do on calibrate text, and of these none was determined by "
            f"its prompt ({n_jobs} jobs, gap below {self.config.recursion.gap:g} nats); the ledger is "
            "empty. More units, a stronger explainer or a stronger simulator may change that"
        )


def draw_nodes(nodes: Sequence[Node], *, count: int, seed: int) -> Counter[str]:
    """`count` draws with replacement, in proportion to attribution: unit → how often it was drawn.

    The mean of anything over the draws is then an unbiased estimate of its attribution-weighted mean over the
    causal set of a job (Hansen & Hurwitz 1943). Depends on the seed and the job alone.
    """
    p = np.array([node.attribution for node in nodes])
    rng = np.random.default_rng([seed, *nodes[0].job.encode()])
    chosen = rng.choice(len(nodes), size=count, p=p / p.sum())
    return Counter(nodes[place].unit for place in chosen.tolist())


def _mean(excerpts: Sequence[Excerpt]) -> float:
    """Mean activation over the working text, weighted to it; 0 for a unit that never fires."""
    scored = [(a, e.weight) for e in excerpts for a in e.activations[e.passage.n_context :]]
    weight = sum(w for _, w in scored)
    return sum(a * w for a, w in scored) / weight if weight else 0.0


def _hashed(seed: int, unit: str) -> str:
    return hashlib.sha256(f"{seed}/{unit}".encode()).hexdigest()


def explanations_in(folder: RunFolder, explainer: str) -> dict[str, Explanation]:
    """Unit → what an explainer wrote of it in a run, first candidates."""
    found: dict[str, Explanation] = {}
    for explanation in folder.read_records(Explanation, *folder.parts_of("explanations", explainer)):
        found.setdefault(explanation.unit, explanation)
    return found


def gains_of(folder: RunFolder, metric: Metric = "gain_bits") -> Gains:
    """The excess gains of one level, or another metric's; best candidates under their explainer's name."""
    path = folder.level / "scores.parquet"
    found: dict[tuple[str, str], dict[str, float]] = {}
    for score in folder.read_records(Score, path) if path.exists() else ():
        if score.metric == metric and math.isfinite(score.excess):
            found.setdefault((score.explainer, score.simulator), {})[score.unit] = score.excess
    best = {(name.removesuffix(".best"), s): of for (name, s), of in found.items() if name.endswith(".best")}
    return found | best
