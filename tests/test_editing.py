"""Inputs are edited inside and outside a claimed scope, and the subject is run again."""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.evaluators.behaviours.editing import PromptedEditor
from scrutable.pipeline.backends.scripted import ScriptedBackend
from scrutable.pipeline.behaviours.config import EditorConfig
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.editing import edited_and_rerun
from scrutable.pipeline.behaviours.protocols import Attribution, BehaviourServices, EditJob, Pair
from scrutable.pipeline.behaviours.readouts import certain
from scrutable.pipeline.behaviours.records import Edit, Input, Reading
from scrutable.pipeline.prompting import template
from scrutable.pipeline.records import CallFailure, Completion, Cost, Failure, Prompt
from tests.toy_behaviours import OUTCOMES, definition, explanation, inputs, observed, polite, shown


class Polite:
    """Grants what is asked for politely."""

    name = "polite"
    provenance: dict[str, str] = {}  # noqa: RUF012 - a protocol's property

    def read(self, definition: Definition, inputs: Sequence[Input]) -> list[Reading | CallFailure]:
        del definition
        return [
            CallFailure("refused", "no")
            if "forbidden" in one.text
            else Reading(certain(OUTCOMES, polite(one)), 0.0, 1.0, "", "")
            for one in inputs
        ]

    def gradients(self, definition: Definition, inputs: Sequence[Input]) -> list[Attribution | CallFailure]:
        raise NotImplementedError


class Swapping:
    """Swaps "please" and "now" inside the scope, and numbers outside; says nothing of text 3."""

    name = "swapping"

    def edit(self, jobs: Sequence[EditJob]) -> list[str | CallFailure]:
        return [self._one(job) for job in jobs]

    def _one(self, job: EditJob) -> str | CallFailure:
        text = job.input.text
        if text.startswith("text 3 "):
            return CallFailure("malformed", "the reply repeats the input")
        if text.startswith("text 7 "):
            return "forbidden"
        if job.scope == "outside":
            return text.replace("text", "letter")
        return text.replace("please", "NOW").replace("now", "please").replace("NOW", "now")


def edited() -> list[Edit | Failure]:
    seen = observed(inputs(), polite)
    pairs = [Pair(one, seen[one.id]) for one in inputs() if one.split == "test"]
    return edited_and_rerun(Swapping(), Polite(), shown(), explanation(), pairs)


def test_the_subject_changes_inside_the_scope_and_stays_outside() -> None:
    edits = [one for one in edited() if isinstance(one, Edit)]
    assert all(edit.before != edit.after for edit in edits if edit.scope == "inside")
    assert all(edit.before == edit.after for edit in edits if edit.scope == "outside")
    assert {edit.scope for edit in edits} == {"inside", "outside"}


def test_what_is_no_edit_and_what_the_subject_does_not_answer_are_failures() -> None:
    failures = [one for one in edited() if isinstance(one, Failure)]
    assert sorted((f.kind, f.part) for f in failures) == [
        ("malformed", "swapping"),
        ("malformed", "swapping"),
        ("refused", "subject"),
        ("refused", "subject"),
    ]
    n_test = sum(one.split == "test" for one in inputs())
    assert len(edited()) == 2 * n_test


def test_an_inside_edit_is_asked_for_the_other_outcome() -> None:
    asked: list[EditJob] = []

    class Listening(Swapping):
        def edit(self, jobs: Sequence[EditJob]) -> list[str | CallFailure]:
            asked.extend(jobs)
            return super().edit(jobs)

    one = inputs()[3]
    pair = Pair(one, observed([one], polite)[one.id])
    edited_and_rerun(Listening(), Polite(), shown(), explanation(), [pair])
    before = pair.observation.outcome
    assert {(job.scope, job.wanted == before) for job in asked} == {("inside", False), ("outside", True)}


def prompted(reply: str, *, stopped: str = "stop") -> tuple[str | CallFailure, Prompt]:
    backend = ScriptedBackend(lambda _prompt: reply)

    def ask(prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        assert stopped in ("stop", "length")
        answers = backend(prompts)
        return [Completion(reply, (), Cost(), "length") for _ in answers] if stopped == "length" else answers

    services = BehaviourServices(
        locate=lambda _config: None,  # type: ignore[arg-type, return-value]
        ask=lambda _config: ask,
        is_chat=lambda _config: False,
        count_tokens=lambda _config, texts: [len(t.split()) for t in texts],
        seed=0,
    )
    editor = PromptedEditor(EditorConfig(model="scripted"), services)
    job = EditJob(definition(), explanation(), inputs()[0], "inside", "deny")
    (answer,) = editor.edit([job])
    return answer, backend.asked[0]


def test_the_editor_is_told_what_decides_and_what_is_wanted() -> None:
    answer, prompt = prompted(" text 0 now\n")
    assert answer == "text 0 now"
    for part in ("polite requests", "Text: text 0 please", "Wanted answer: deny"):
        assert part in prompt.whole
    assert template("edit_input").stop == ("\n",)


def test_a_reply_that_repeats_the_input_or_is_cut_is_no_edit() -> None:
    for reply, stopped in (("TEXT 0 please", "stop"), (" ... ", "stop"), ("text 0 and so on", "length")):
        answer, _ = prompted(reply, stopped=stopped)
        assert isinstance(answer, CallFailure)
