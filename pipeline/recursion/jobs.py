"""From explanations to jobs: what the author was run on, and a counterfactual prompt of the same length.

The counterfactual shows another unit: each exemplar is replaced by one of the other's, cut to exactly as many
tokens of the author, so that every position means the same in both and activations can be exchanged one by
one (SCIENCE.md 2.5 and 3, step 2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.records import Explanation
from scrutable.pipeline.recursion.protocols import LikelihoodsOf, Read, Span, Task, Writer
from scrutable.pipeline.recursion.records import Job

CONTENT = 1.0  # nats that the true prompt must add to a token for it to count as content


class Draft(NamedTuple):
    """An explanation with its prompt in the author's tokens, before a counterfactual is found."""

    explanation: Explanation
    read: Read


class Traced(NamedTuple):
    """A job, and what its author is run on."""

    job: Job
    task: Task


def counterfactual_of(own: Read, other: Read) -> tuple[int, ...] | None:
    """The prompt's tokens with the spans of another unit in the places of its own; None if it has none.

    A span that is too long loses its beginning, since an excerpt has what matters at its end; the last span,
    the list of words, loses its end. One that is too short is filled up with what the other unit shows
    elsewhere.
    """
    if not own.spans or not other.spans:
        return None
    *excerpts, words = (other.ids[start:stop] for start, stop in other.spans)
    ids = list(own.ids)
    for number, (start, stop) in enumerate(own.spans):
        is_last = number + 1 == len(own.spans)
        if is_last or not excerpts:
            ids[start:stop] = _repeated(words, stop - start)
        else:
            turned = [*excerpts[number % len(excerpts) + 1 :], *excerpts[: number % len(excerpts) + 1]]
            filled = [id for excerpt in turned for id in excerpt]
            ids[start:stop] = _repeated(filled[::-1], stop - start)[::-1]
    return tuple(ids)


def _repeated(ids: Sequence[int], n: int) -> list[int]:
    """The first n of `ids`, over again where there are fewer."""
    return [ids[t % len(ids)] for t in range(n)]


def untraced(explanation: Explanation, *, level: int, author: str, reason: str) -> Job:
    """A job that cannot be followed, with the reason."""
    return Job(
        id=f"{level}/{explanation.unit}",
        level=level,
        unit=explanation.unit,
        author=author,
        text=explanation.text,
        document="",
        matched="",
        prompt_ids=(),
        counterfactual_ids=(),
        reply_ids=(),
        spans=(),
        n_prefix=0,
        seed=0,
        precision="",
        digest="",
        likelihood=math.nan,
        gap=math.nan,
        content_gap=math.nan,
        n_content=0,
        random_gap=math.nan,
        is_gated=False,
        reason=reason,
    )


def trace_job(
    draft: Draft,
    other: Draft | None,
    writer: Writer,
    *,
    level: int,
    seed: int,
    gap: float,
    random: LikelihoodsOf | None = None,
) -> Job:
    """The job of an explanation: how much likelier its prompt makes it than the counterfactual does.

    Args:
        draft: the explanation and its prompt.
        other: of a matched unit; None where there is no such unit.
        writer: the author.
        level: of the claim, from 1.
        seed: of the run.
        gap: nats that a job must have to be followed.
        random: a twin of the author with random weights, which is asked the same.
    """
    explanation, read = draft
    blank = untraced(explanation, level=level, author=writer.name, reason="no unit to match it with")
    reply = writer.tokens(written_reply(explanation)).ids
    counterfactual = counterfactual_of(read, other.read) if other else None
    if other is None or counterfactual is None or not reply:
        return blank
    task = Task(read.prefix, read.ids, counterfactual, reply, (), read.spans)
    clean = writer.likelihoods(task, is_counterfactual=False)
    changes = clean - writer.likelihoods(task, is_counterfactual=True)
    is_content = changes > CONTENT
    total = float(changes.sum())
    n = len(read.prefix)
    reason = ""
    if total < gap:
        reason = f"the prompt adds {total:.1f} nats to the text, fewer than {gap:g}"
    elif not is_content.any():
        reason = f"no token gains more than {CONTENT:g} nat from the prompt"
    return Job(
        id=blank.id,
        level=level,
        unit=explanation.unit,
        author=writer.name,
        text=explanation.text,
        document=document_of(explanation),
        matched=other.explanation.unit,
        prompt_ids=(*read.prefix, *read.ids),
        counterfactual_ids=(*read.prefix, *counterfactual),
        reply_ids=reply,
        spans=tuple(n + place for span in read.spans for place in span),
        n_prefix=n,
        seed=seed,
        precision=str(writer.provenance.get("dtype", "")),
        digest=str(writer.provenance.get("digest", "")),
        likelihood=float(clean.sum()),
        gap=total,
        content_gap=float(changes[is_content].sum()),
        n_content=int(is_content.sum()),
        random_gap=_gap(random, task) if random else math.nan,
        is_gated=not reason,
        reason=reason,
    )


def written_reply(explanation: Explanation) -> str:
    """What the author wrote after its prompt, without the line break that ends it."""
    return explanation.reply.rstrip() or explanation.text


def document_of(explanation: Explanation) -> str:
    """The id of the author's working text of an explanation."""
    return explanation.unit


def task_of(job: Job, writer: Writer) -> Task:
    """What a gated job's author is run on, with the content tokens marked."""
    spans: list[Span] = [
        (start - job.n_prefix, stop - job.n_prefix)
        for start, stop in zip(job.spans[::2], job.spans[1::2], strict=True)
    ]
    prefix, prompt = job.prompt_ids[: job.n_prefix], job.prompt_ids[job.n_prefix :]
    task = Task(prefix, prompt, job.counterfactual_ids[job.n_prefix :], job.reply_ids, (), tuple(spans))
    changes: NDArray[np.float64] = writer.likelihoods(task, is_counterfactual=False) - writer.likelihoods(
        task, is_counterfactual=True
    )
    return task._replace(content=tuple(bool(change > CONTENT) for change in changes))


def _gap(likelihoods: LikelihoodsOf, task: Task) -> float:
    clean, other = (likelihoods(task, is_counterfactual=which) for which in (False, True))
    return float((clean - other).sum())
