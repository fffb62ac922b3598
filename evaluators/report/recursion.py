"""What a run knows of recursion: the records of a study, read from its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scrutable.evaluators.report.data import records
from scrutable.pipeline.recursion.records import (
    Cause,
    Ceiling,
    Claim,
    Effect,
    Foretold,
    Gated,
    Job,
    KnownLadder,
    LedgerRow,
    MatrixCell,
    Overlap,
    Patch,
    Proxy,
    Replica,
    Ruling,
    SecondReading,
    Substitution,
    Transfer,
    WritingTrait,
)

if TYPE_CHECKING:
    from scrutable.pipeline.recursion.tables import RecursionTables


@dataclass(frozen=True, slots=True)
class Recursion:
    """All that a run knows of recursion, in the run's order."""

    jobs: tuple[Job, ...] = ()
    patches: tuple[Patch, ...] = ()
    causes: tuple[Cause, ...] = ()
    substitutions: tuple[Substitution, ...] = ()
    claims: tuple[Claim, ...] = ()
    ledger: tuple[LedgerRow, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    ceilings: tuple[Ceiling, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    gated: tuple[Gated, ...] = ()
    rulings: tuple[Ruling, ...] = ()
    known: tuple[KnownLadder, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    replicas: tuple[Replica, ...] = ()
    second_readings: tuple[SecondReading, ...] = ()
    matrix: tuple[MatrixCell, ...] = ()
    effects: tuple[Effect, ...] = ()
    foretold: tuple[Foretold, ...] = ()
    traits: tuple[WritingTrait, ...] = ()

    @property
    def is_matrix(self) -> bool:
        """Whether it is a matrix: no ladder was climbed, so there is no ledger to keep."""
        return bool(self.matrix) and not (self.ledger or self.gated or self.jobs)

    @property
    def roots(self) -> tuple[str, ...]:
        """The units that a claim at the root of a ladder is about, each once."""
        return tuple(dict.fromkeys(claim.unit for claim in self.claims if not claim.parent))


def read_recursion(tables: RecursionTables | None) -> Recursion | None:
    """The study of a run; None for a run without one."""
    if tables is None or tables.is_empty:
        return None
    return Recursion(
        jobs=records(tables.jobs, Job, id="job"),
        patches=records(tables.patches, Patch),
        causes=records(tables.causes, Cause),
        substitutions=records(tables.substitutions, Substitution),
        claims=records(tables.claims, Claim, id="claim"),
        ledger=records(tables.ledger, LedgerRow),
        transfers=records(tables.transfers, Transfer),
        ceilings=records(tables.ceilings, Ceiling),
        overlaps=records(tables.overlaps, Overlap),
        gated=records(tables.gated, Gated),
        rulings=records(tables.rulings, Ruling),
        known=records(tables.known_ladders, KnownLadder),
        proxies=records(tables.proxies, Proxy),
        replicas=records(tables.replicas, Replica),
        second_readings=records(tables.second_readings, SecondReading),
        matrix=records(tables.matrix, MatrixCell),
        effects=records(tables.matrix_effects, Effect),
        foretold=records(tables.foretold, Foretold),
        traits=records(tables.traits, WritingTrait),
    )
