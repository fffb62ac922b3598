"""What a ladder has stored becomes its tables: claims, ledger, rulings, and what is measured beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from scrutable.evaluators.foretelling import foretold, traits
from scrutable.evaluators.proxies import proxies
from scrutable.evaluators.replicas import replicas
from scrutable.evaluators.second_readings import second_readings
from scrutable.pipeline.composition.jobs import plan_of
from scrutable.pipeline.composition.ladder_parts import LadderComposition
from scrutable.pipeline.config import (
    AUTHOR,
    COMPILED,
    FollowerExplainer,
    RecurseConfig,
)
from scrutable.pipeline.records import Summary
from scrutable.pipeline.recursion.config import WritingConfig
from scrutable.pipeline.recursion.ladder import Ladder, explanations_in, gains_of
from scrutable.pipeline.recursion.ledger import Party, keep_ledger
from scrutable.pipeline.recursion.records import (
    Ceiling,
    Choice,
    Claim,
    Foretold,
    Gated,
    Guide,
    LedgerRow,
    Procedure,
    Proxy,
    Replica,
    Ruling,
    SecondReading,
    Transfer,
    WritingTrait,
)
from scrutable.pipeline.recursion.rules import rule
from scrutable.pipeline.recursion.settling import (
    AUTHORS,
    Opponent,
    claims_of,
    gated_of,
    opponent_claims,
)
from scrutable.pipeline.recursion.transfer import transfers_of
from scrutable.pipeline.recursion.writing import (
    FOLLOWERS,
    Writing,
    choices,
    procedures,
    traits_of,
    writing_of,
)
from scrutable.pipeline.sections import AskingConfig


def settle(ladder: Ladder, parts: LadderComposition) -> list[LedgerRow]:
    """Claims, ledger and rulings, all from what is stored."""
    config, folder = ladder.config, ladder.folder
    claims, rows = _accounts(ladder, parts)
    stand_ins = _replicas(ladder, [claim.unit for claim in claims if _is_root(claim)])
    explainers = config.explainers_of(1)
    rulings = rule(
        rows,
        ladder=AUTHORS,
        worth=_worth(ladder),
        readable=[name for name, made in explainers.items() if not isinstance(made, AskingConfig)],
        replicas=[replica for replica in stand_ins if replica.replica != FOLLOWERS["shuffled"]],
        rules=config.recursion.rules,
    )
    for kind, name, records in (
        (Claim, "claims", claims),
        (Gated, "gated", gated_of(ladder, levels=ladder.depth)),
        (Replica, "replicas", stand_ins),
        (Proxy, "proxies", _proxies(ladder)),
        (SecondReading, "second_readings", _second_readings(ladder)),
        (Ruling, "rulings", rulings),
        (Ceiling, "ceilings", _ceilings(ladder)),
        (Transfer, "transfers", _transfers(ladder)),
        (LedgerRow, "ledger", rows),  # last: a study with a ledger is settled
    ):
        folder.write_records(folder.level / f"{name}.parquet", kind, records)
    return rows


def _accounts(ladder: Ladder, parts: LadderComposition) -> tuple[list[Claim], list[LedgerRow]]:
    """The claims of all ladders, and their ledgers: the authors' in each tier, and each opponent's."""
    config = ladder.config
    parties = parts.parties(ladder.depth)
    everything = claims_of(ladder, levels=ladder.depth)
    claims = [claim for claim in everything if claim.level <= ladder.depth]
    if not claims:
        return everything, []
    keep = partial(keep_ledger, draws=config.scoring.draws, seed=config.seed)
    rows = [*keep(claims, parties)]
    if any(not math.isnan(claim.gain_lenient) for claim in claims):
        rows += keep(claims, parties, tier="lenient")
    if not math.isnan(claims[0].gain_shifted):
        rows += keep(claims, parties, corpus="shifted")
    units = [claim.unit for claim in claims if _is_root(claim)]
    for opponent in _opponents(config):
        found = opponent_claims(opponent, units, ladder.gains(1), ladder.explanations(1, opponent.name))
        everything += found
        ends = {
            1: Party(opponent.name, "its code", 0.0, "foundation", is_own_check=opponent.is_checked),
            2: Party("its code", "", 0.0, "foundation", is_own_check=True),
        }
        rows += keep(found, ends)
    return everything, rows


def _is_root(claim: Claim) -> bool:
    return claim.ladder == AUTHORS and not claim.parent


def _replicas(ladder: Ladder, units: Sequence[str]) -> list[Replica]:
    """Whoever writes in the first author's place: explainers without a model, followers of a procedure."""
    config = ladder.config
    named = [name for name, made in config.explainers.items() if isinstance(made, FollowerExplainer)]
    written = FOLLOWERS.values() if config.recursion.writing else ()
    followers = [(name, config.recursion.simulator) for name in (*named, *written)]
    return replicas(
        {**ladder.gains(1), **gains_of(ladder.followers)},
        (AUTHOR, config.recursion.simulator),
        [*((opponent.name, opponent.simulator) for opponent in _opponents(config)), *followers],
        units=units,
        draws=config.scoring.draws,
        seed=config.seed,
    )


def _transfers(ladder: Ladder) -> list[Transfer]:
    return [
        cell
        for level in range(1, ladder.depth + 1)
        for cell in transfers_of(ladder.folder.path, level=level, simulator=ladder.config.recursion.simulator)
    ]


def study_writing(ladder: Ladder, parts: LadderComposition, settings: WritingConfig) -> None:
    """The first author's writing as a behaviour; a table that is there is not made again."""
    folder, config = ladder.folder, ladder.config
    level = folder.level
    if (level / "foretold.parquet").exists():
        return
    excerpts = ladder.level_folder(0).read_excerpts()
    writing = writing_of(ladder.explanations(1), excerpts, settings, seed=config.seed)
    told = _procedures(ladder, parts, writing, settings)
    usable = {FOLLOWERS[kind]: made.text for kind, made in told.items() if not made.reason}
    if usable:
        ladder.followed_procedures(usable, [pair.unit for pair in writing.held_out])
    with ladder.watch("choices"):
        found = choices(
            writing, parts.author(1), parts.ask(settings.simulator), told, settings, seed=config.seed
        )
    draws, seed = config.scoring.draws, config.seed
    texts = {
        opponent.name: ladder.explanations(1, opponent.name)
        for opponent in _opponents(config)
        if not opponent.is_checked
    } | {follower: explanations_in(ladder.followers, follower) for follower in usable}
    stand_ins = {
        name: {
            pair.unit: traits_of(written[pair.unit].text, pair.shown)
            for pair in writing.held_out
            if pair.unit in written
        }
        for name, written in texts.items()
    }
    of_told = [traits_of(pair.text, pair.shown) for pair in writing.told]
    of_held = {pair.unit: traits_of(pair.text, pair.shown) for pair in writing.held_out}
    rows = traits(of_told, of_held, stand_ins, draws=draws, seed=seed)
    folder.write_records(level / "choices.parquet", Choice, found)
    folder.write_records(level / "traits.parquet", WritingTrait, rows)
    folder.write_records(level / "foretold.parquet", Foretold, foretold(found, draws=draws, seed=seed))


def _procedures(
    ladder: Ladder, parts: LadderComposition, writing: Writing, settings: WritingConfig
) -> dict[Guide, Procedure]:
    """How the first author writes, in the words of the next; written once."""
    path = ladder.folder.level / "procedures.parquet"
    if path.exists():
        return {made.kind: made for made in ladder.folder.read_records(Procedure, path)}
    writer = ladder.config.writer_of_procedures
    with ladder.watch("procedures"):
        told = procedures(
            writing.told, parts.ask(writer), settings, author=parts.named(1), writer=writer.model
        )
    ladder.folder.write_records(path, Procedure, list(told.values()))
    return told


def _opponents(config: RecurseConfig) -> list[Opponent]:
    """Explainers of the first level without a model, with the simulator that reads them."""
    run, settings = config.run_of_subject(), config.recursion
    return [
        Opponent(name, simulator, is_checked=simulator == settings.checker)
        for name, simulator in plan_of(run).pairs.values()
        if name not in (AUTHOR, COMPILED)
        and not isinstance(run.explainers[name], AskingConfig)
        and simulator in (settings.checker, settings.simulator)
    ]


def _worth(ladder: Ladder) -> dict[str, float]:
    """Explainer → mean excess correlation at the first level, by the simulator that finds most in it."""
    folder = ladder.level_folder(0)
    found: dict[str, float] = {}
    for row in folder.read_records(Summary, folder.level / "summary.parquet"):
        if row.metric == "correlation" and not math.isnan(row.excess):
            found[row.explainer] = max(found.get(row.explainer, -math.inf), row.excess)
    return found


def _proxies(ladder: Ladder) -> list[Proxy]:
    """What fidelity by attribution would have said of every substitution, level by level."""
    found: list[Proxy] = []
    for level in range(1, ladder.depth + 1):
        drawn = {f"{level}/{unit}": nodes for unit, nodes in ladder.drawn(level).items()}
        found += proxies(
            ladder.substitutions(level),
            drawn,
            gains_of(ladder.level_folder(level), "explained_variance"),
            level=level,
            draws=ladder.config.scoring.draws,
            seed=ladder.config.seed,
        )
    return found


def _second_readings(ladder: Ladder) -> list[SecondReading]:
    """All readings of the lenient tier, level by level."""
    config = ladder.config
    found: list[SecondReading] = []
    for level in range(1, ladder.depth + 1):
        again, units, texts = ladder.gains_again(level), ladder.in_tree(level), ladder.explanations(level)
        wordings = dict.fromkeys(wording for wording, _ in again if wording != AUTHOR)
        others = {wording: ladder.paraphrases(level, wording) for wording in wordings}
        found += second_readings(
            ladder.gains(level).get((AUTHOR, config.recursion.simulator), {}),
            again,
            level=level,
            units=units,
            n_same={
                wording: sum(texts[unit].text == said[unit].text for unit in units if unit in said)
                for wording, said in others.items()
            },
            draws=config.scoring.draws,
            seed=config.seed,
        )
    return found


def _ceilings(ladder: Ladder) -> list[Ceiling]:
    found: list[Ceiling] = []
    for level in range(1, ladder.depth + 1):
        path = ladder.level_folder(level).level / "ceilings.parquet"
        found += ladder.folder.read_records(Ceiling, path) if path.exists() else []
    return found
