"""Test inputs edited inside and outside the scope of an explanation, and what the subject does with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.protocols import BehavingSubject, EditJob, Editor, Pair, Shown
from scrutable.pipeline.behaviours.readouts import decision, recalled
from scrutable.pipeline.behaviours.records import Edit, Input, Reading, Scope, edited_id
from scrutable.pipeline.records import CallFailure, Explanation, Failure


def edited_and_rerun(
    editor: Editor, subject: BehavingSubject, shown: Shown, explanation: Explanation, pairs: Sequence[Pair]
) -> list[Edit | Failure]:
    """Every pair edited inside and outside the scope of one explanation; what is no edit is a Failure.

    Args:
        editor: another model than the one that explains, or the same.
        subject: of the behaviour.
        shown: what explainers saw: it decides what is typical.
        explanation: whose scope the edits go by.
        pairs: test inputs, and what the subject did with them.
    """
    found: list[Edit | Failure] = []
    scopes: tuple[Scope, ...] = ("inside", "outside")
    for scope in scopes:
        jobs = [
            EditJob(shown.definition, explanation, pair.input, scope, _wanted(shown.definition, pair, scope))
            for pair in pairs
        ]
        edits = editor.edit(jobs)
        changed = [
            edited_input(job.input, scope, text)
            for job, text in zip(jobs, edits, strict=True)
            if isinstance(text, str)
        ]
        answers = iter(subject.read(shown.definition, changed) if changed else ())
        outcome = decision(shown.definition, [recalled(pair.observation) for pair in shown.pairs])
        for pair, text in zip(pairs, edits, strict=True):
            where = f"{explanation.id}, {pair.input.id}, {scope}"
            if isinstance(text, CallFailure):
                detail = f"{where}: {text.detail}"
                found.append(Failure(shown.definition.name, "edit", text.kind, detail, editor.name))
                continue
            after = next(answers)
            if isinstance(after, Reading):
                found.append(
                    Edit(
                        behaviour=shown.definition.name,
                        input=pair.input.id,
                        explanation=explanation.id,
                        scope=scope,
                        text=text,
                        before=pair.observation.outcome,
                        after=outcome(after),
                    )
                )
            else:
                detail = f"{where}: after the edit: {after.detail}"
                found.append(Failure(shown.definition.name, "edit", after.kind, detail, "subject"))
    return found


def edited_input(one: Input, scope: Scope, text: str) -> Input:
    """An input with an edited text, under an id of its own."""
    return replace(one, id=edited_id(one.id, scope), text=text)


def _wanted(definition: Definition, pair: Pair, scope: Scope) -> str:
    """The outcome that an edit should give: the next of the list for an inside one."""
    before = pair.observation.outcome
    if scope == "outside":
        return before
    place = definition.outcomes.index(before)
    return definition.outcomes[(place + 1) % len(definition.outcomes)]
