"""Generative: a model writes texts from an explanation, and the unit is run on them.

Matching texts are written from the explanation in question, the others from none. Text of whatever kind may
excite a unit, so the raw score measures the unit more than the explanation (FIELD.md A1): what counts is
the excess over texts that are written from other units' explanations and run on this unit.
"""

from __future__ import annotations

from collections.abc import Sequence

from scrutable.pipeline.config import GenerativeJudge as GenerativeConfig
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Examination, Services, Subject
from scrutable.pipeline.records import CallFailure, Completion, Explanation, Failure, Metric, Prompt, Verdict

_SKIP = 4  # first tokens of a text, which are attention sinks and carry no statistic elsewhere either
_NEUTRAL = "anything at all"


class GenerativeJudge:
    """Has matching and other texts written; value is the unit's largest activation on a text."""

    metric: Metric = "auroc"
    reads_explanations = True

    def __init__(self, name: str, config: GenerativeConfig, services: Services) -> None:
        self.name = name
        self._config = config
        self._services = services
        self._ask = services.ask(config)
        self._template = template(config.prompt)

    def judge(self, jobs: Sequence[Examination]) -> list[Verdict | Failure]:
        """2 · `texts` verdicts for each job and explanation; a text that was not written is a Failure."""
        wanted = list(dict.fromkeys(e.text for job in jobs for e in job.explanations))
        prompts = {text: self._prompts(text) for text in (*wanted, _NEUTRAL)}
        flat = [prompt for of_text in prompts.values() for prompt in of_text]
        replies = iter(self._ask(flat))
        written = {text: [next(replies) for _ in of_text] for text, of_text in prompts.items()}
        subject = self._services.subject()
        found: list[Verdict | Failure] = []
        for job in jobs:
            for explanation in job.explanations:
                for truth, source in ((True, explanation.text), (False, _NEUTRAL)):
                    for number, reply in enumerate(written[source]):
                        trial = f"{'matching' if truth else 'neutral'}-{number}"
                        found.append(self._verdict(job.unit, explanation, trial, truth, reply, subject))
        return found

    def _prompts(self, text: str) -> list[Prompt]:
        return [
            self._template.generate(
                max_tokens=self._config.max_tokens,
                temperature=self._config.temperature,
                seed=self._services.seed + number,
                explanation=text,
            )
            for number in range(self._config.texts)
        ]

    def _verdict(
        self,
        unit: str,
        explanation: Explanation,
        trial: str,
        truth: bool,
        reply: Completion | CallFailure,
        subject: Subject,
    ) -> Verdict | Failure:
        if isinstance(reply, CallFailure):
            return Failure(unit, "judge", reply.kind, f"{explanation.id}, {trial}: {reply.detail}", self.name)
        (values,) = subject.activations([reply.text.strip()], [unit])
        if len(values) <= _SKIP:
            detail = f"{explanation.id}, {trial}: a text of {len(values)} tokens"
            return Failure(unit, "judge", "too_short", detail, self.name)
        return Verdict(
            unit=unit,
            explanation=explanation.id,
            judge=self.name,
            trial=trial,
            document=trial,
            truth=truth,
            value=float(values[_SKIP:].max()),
            cost=reply.cost,
        )
