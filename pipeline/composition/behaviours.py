"""Where a study of behaviours becomes subjects, explainers, simulators and an editor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from scrutable.evaluators.behaviours.editing import PromptedEditor
from scrutable.evaluators.behaviours.gains import summarise_gains
from scrutable.evaluators.behaviours.judging import judge_behaviour
from scrutable.evaluators.behaviours.policy_gate import TESTED, PolicyTrial
from scrutable.evaluators.behaviours.policy_verdict import policy_results, policy_table
from scrutable.evaluators.behaviours.predictors import PREDICTORS
from scrutable.pipeline.behaviours.config import (
    AccountConfig,
    BehaviourPartsConfig,
    BehaviourStudy,
    GivenAccount,
    PolicyTestConfig,
    PredictorConfig,
)
from scrutable.pipeline.behaviours.counting import StagePrompts, count_prompts
from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.explainers import ACCOUNTS
from scrutable.pipeline.behaviours.library import load_behaviours
from scrutable.pipeline.behaviours.protocols import (
    BehavingSubject,
    BehaviourExplainer,
    BehaviourServices,
    BehaviourSimulator,
    Editor,
)
from scrutable.pipeline.behaviours.records import PolicyCase, PolicyResult
from scrutable.pipeline.behaviours.study import BehaviourEvaluation, Study
from scrutable.pipeline.behaviours.tables import LEVEL
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.errors import CapabilityError, ConfigError
from scrutable.pipeline.prompting import template
from scrutable.pipeline.protocols import Watch
from scrutable.pipeline.records import Explanation, Failure, Language
from scrutable.pipeline.sections import AskingConfig, ModelConfig
from scrutable.pipeline.store import RunFolder
from scrutable.pipeline.subjects.behaving import BehavingModel
from scrutable.pipeline.subjects.following import FollowingSubject

BEHAVIOUR_EVALUATION = BehaviourEvaluation(judge=judge_behaviour, summarise=summarise_gains)


class BehaviourComposition:
    """Makes the parts of one study; each model is loaded once, when it is first needed."""

    def __init__(
        self,
        study: BehaviourPartsConfig,
        subject: ModelConfig | None,
        models: Models,
        *,
        seed: int,
        note: Callable[[str, Any], None],
    ) -> None:
        self._study = study
        self._config = subject
        self._models = models
        self._note = note
        self._behaving: dict[str, BehavingModel] = {}
        self._services = BehaviourServices(
            locate=models.locate,
            ask=models.ask,
            is_chat=models.is_chat,
            count_tokens=models.count_tokens,
            seed=seed,
            subject=self.subject,
        )

    def check(self) -> None:
        """Resolves every model, and checks prompts, before anything is computed."""
        study = self._study
        parts = [*study.explainers.values(), *study.simulators.values(), *filter(None, [study.editor])]
        asked = [*filter(None, [self._config]), *study.peers.values()]
        asked += [part for part in parts if isinstance(part, ModelConfig)]
        for config in asked:
            self._models.locate(config)
            is_message = isinstance(config, AskingConfig) and template(config.prompt).is_chat
            if is_message and not self._models.is_chat(config):
                raise CapabilityError(
                    f"model {config.model} has no chat template; use a completion prompt, such as the default"
                )

    def subject(self, definition: Definition) -> BehavingSubject:
        """The model, or the rule that is planted in its place."""
        if definition.policy:
            return FollowingSubject(definition)
        if self._config is None:
            raise ConfigError(f"behaviour {definition.name}: this job has no subject model to show it")
        return self._asked_model("subject", self._config, "subject")

    def peer(self, name: str) -> BehavingSubject:
        """Another model that is asked the same questions."""
        return self._asked_model(name, self._study.peers[name], "peers")

    def own(self, simulator: str) -> BehavingSubject | None:
        """The model of a simulator that can be told the task alone; None for others."""
        config = self._study.simulators[simulator]
        if not isinstance(config, AskingConfig):
            return None
        return self._asked_model(simulator, config, "simulators")

    def _asked_model(self, name: str, config: ModelConfig, section: str) -> BehavingModel:
        if name not in self._behaving:
            self._behaving[name] = BehavingModel(name, config, self._services_of(name))
            if section != "simulators":  # whose facts are noted with their prompt
                self._note(f"behaviour_{section}", {name: dict(self._models.locate(config).provenance)})
        return self._behaving[name]

    def explainer(self, name: str) -> BehaviourExplainer:
        """The explainer of that name."""
        config = self._study.explainers[name]
        self._note("behaviour_explainers", {name: self._facts(config)})
        made: BehaviourExplainer = ACCOUNTS[config.kind](name, config, self._services_of(f"explainer {name}"))
        return made

    def simulator(self, name: str) -> BehaviourSimulator:
        """The simulator of that name."""
        config = self._study.simulators[name]
        self._note("behaviour_simulators", {name: self._facts(config)})
        made: BehaviourSimulator = PREDICTORS[config.kind](
            name, config, self._services_of(f"simulator {name}")
        )
        return made

    def editor(self) -> Editor:
        """The editor. Raises ConfigError where the study has none."""
        if self._study.editor is None:
            raise ConfigError("this study has no editor")
        facts = {**self._models.locate(self._study.editor).provenance, "prompt": self._study.editor.prompt}
        self._note("behaviour_editor", facts)
        return PromptedEditor(self._study.editor, self._services_of("editor"))

    def _services_of(self, role: str) -> BehaviourServices:
        """What a leaf may ask, charged to its role."""
        return self._services._replace(ask=partial(self._models.ask, role=role))

    def _facts(self, config: AccountConfig | PredictorConfig) -> dict[str, Any]:
        facts: dict[str, Any] = {"kind": config.kind, "name": f"{config.kind} (no model)"}
        if isinstance(config, ModelConfig):
            facts |= self._models.locate(config).provenance
            prompt = getattr(config, "prompt", "")
            facts |= {"prompt": prompt, "prompt_digest": template(prompt).digest}
        return facts


def prompts_of(config: BehaviourStudy, *, seed: int) -> list[StagePrompts]:
    """How many prompts a study will send, at most; loads no model."""
    return count_prompts(
        config,
        load_behaviours(config.behaviours),
        writes={name: _language_of(one) for name, one in config.explainers.items()},
        reads={name: PREDICTORS[one.kind].language for name, one in config.simulators.items()},
        seed=seed,
    )


def _language_of(config: AccountConfig) -> Language:
    language: Language = (
        config.language if isinstance(config, GivenAccount) else ACCOUNTS[config.kind].language
    )
    return language


def study_of(
    config: BehaviourStudy,
    subject: ModelConfig | None,
    folder: RunFolder,
    models: Models,
    *,
    seed: int,
    watch: Watch,
    note: Callable[[str, Any], None],
) -> tuple[Study, BehaviourComposition]:
    """The stages of a study and the maker of their parts.

    Raises ConfigError for a behaviour that cannot be read.
    """
    defined = load_behaviours(config.behaviours)
    unplanted = [one.definition.name for one in defined if not one.definition.policy]
    if unplanted and subject is None:
        raise ConfigError(f"subject: no model is given that shows the behaviour {unplanted[0]}")
    parts = BehaviourComposition(config, subject, models, seed=seed, note=note)
    study = Study(
        config=config,
        seed=seed,
        defined=defined,
        folder=RunFolder(folder.path, level=LEVEL),
        parts=parts,
        evaluation=BEHAVIOUR_EVALUATION,
        languages={name: PREDICTORS[one.kind].language for name, one in config.simulators.items()},
        watch=watch,
    )
    return study, parts


def try_policies(
    config: BehaviourPartsConfig,
    gate: PolicyTestConfig,
    folder: RunFolder,
    models: Models,
    *,
    seed: int,
    say: Callable[[str], None],
    watch: Watch,
    note: Callable[[str, Any], None],
) -> str:
    """Puts planted policies to the simulators and explainers of a config; returns the table as text.

    What a simulator did is kept once it has done all, so that running again goes on with the next.
    """
    parts = BehaviourComposition(config, None, models, seed=seed, note=note)
    parts.check()
    level = RunFolder(folder.path, level=LEVEL)
    trial = PolicyTrial(gate, parts.subject, seed)
    tested = [name for name, one in config.simulators.items() if PREDICTORS[one.kind].language in TESTED]
    for name in config.simulators:
        if name not in tested:
            say(f"simulator {name} reads what has no known answers, and is not tested")
    todo = [name for name in tested if not level.part("policy_cases", name).exists()]
    written: list[tuple[str, dict[str, Explanation | Failure]]] = []
    reads = {PREDICTORS[config.simulators[name].kind].language for name in tested}
    for name, one in config.explainers.items() if todo else ():
        if _language_of(one) in reads and not isinstance(one, GivenAccount):
            with watch(f"explain policies: {name}"):
                written.append((name, trial.explain(parts.explainer(name))))
    for name in todo:
        with watch(f"policies: {name}") as progress:
            cases = trial.cases(parts.simulator(name), written, progress)
        level.write_records(level.part("policy_cases", name), PolicyCase, cases)
    paths = [level.part("policy_cases", name) for name in tested]
    results = policy_results(level.read_records(PolicyCase, *paths), seed=seed)
    level.write_records(level.level / "policies.parquet", PolicyResult, results)
    return policy_table(results)
