"""How often the reference subjects show each behaviour, and whether there is something to explain.

    python bench/behaviour_rates.py [--model NAME ...] [--behaviour NAME ...] [--inputs 240] [--show 3]

One line for each behaviour and model: the share of each outcome, the mean probability of all labels together
(`mass`), the share of inputs on which no outcome could be read (`lost`), and the accuracy of two plain
predictors beside that of always saying the commonest outcome. Both see what a reader sees of an input: its
words, their place, its length and its numbers. They are cross-validated over sources, so that they are
tried on sources that they have not seen.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scrutable.pipeline.behaviours.definition import Definition
from scrutable.pipeline.behaviours.inputs import make_inputs
from scrutable.pipeline.behaviours.library import Defined, library_names, load_behaviours
from scrutable.pipeline.behaviours.protocols import BehavingSubject, BehaviourServices
from scrutable.pipeline.behaviours.readouts import decide
from scrutable.pipeline.behaviours.records import Input, Observation
from scrutable.pipeline.composition.models import Models
from scrutable.pipeline.records import CallFailure
from scrutable.pipeline.sections import ModelConfig
from scrutable.pipeline.subjects.behaving import BehavingModel
from scrutable.pipeline.subjects.following import FollowingSubject

MODELS = ("smollm2-135m", "qwen2.5-coder-0.5b")
PLANTED = "(policy)"  # stands for the model of a planted behaviour
_FOLDS, _LEAVES = 5, 8
_FEWEST = 3  # inputs with a word, before it is a feature
_SEED = 0
_WORD = re.compile(r"[A-Za-z']+|\d+")

Floats = NDArray[np.float64]


class Rates(NamedTuple):
    """One line of the table."""

    behaviour: str
    model: str
    n_inputs: int
    n_sources: int
    outcomes: tuple[tuple[str, float], ...]  # name, share of the inputs that could be read
    label_mass: float  # mean; NaN where text is read
    lost: float  # share of inputs on which no outcome could be read
    majority: float  # share of the commonest outcome
    tree: float  # accuracy over folds, in [0, 1]; NaN if there is one outcome
    words: float
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="*", default=MODELS, help="known names, paths or hub ids")
    parser.add_argument("--behaviour", nargs="+", default=library_names(), help="names, or files")
    parser.add_argument("--inputs", type=int, default=None, help="at most so many of each behaviour")
    parser.add_argument("--show", type=int, default=0, help="print so many inputs with their answers")
    arguments = parser.parse_args()
    defined = load_behaviours(arguments.behaviour)
    say(_line(*_HEADS))
    for one in defined:
        if one.definition.policy:
            report(one, PLANTED, FollowingSubject(one.definition), arguments)
    for model in arguments.model:
        subject = asked_model(model)
        for one in defined:
            if not one.definition.policy:
                report(one, model, subject, arguments)


def report(defined: Defined, model: str, subject: BehavingSubject, arguments: argparse.Namespace) -> None:
    """Prints the line of one behaviour and model, and some of its answers."""
    definition = defined.definition
    start = time.perf_counter()
    inputs = make_inputs(definition, folder=defined.folder, count=arguments.inputs, seed=_SEED)
    seen = observed(definition, inputs, subject)
    rates = measured(definition, model, inputs, seen)._replace(seconds=time.perf_counter() - start)
    say(_written(rates))
    for one, observation in list(zip(inputs, seen, strict=True))[: arguments.show]:
        what = f"{observation.outcome}  {observation.reply!r}" if observation else "(unreadable)"
        say(f"    {one.split:9} {one.text!r} -> {what}")


def asked_model(name: str) -> BehavingModel:
    """A model as subject, which is loaded when it is first asked."""
    models = Models(lambda _: None)
    services = BehaviourServices(
        locate=models.locate,
        ask=models.ask,
        is_chat=models.is_chat,
        count_tokens=models.count_tokens,
        seed=_SEED,
    )
    return BehavingModel(name, ModelConfig(model=name), services)


def observed(
    definition: Definition, inputs: Sequence[Input], subject: BehavingSubject
) -> list[Observation | None]:
    """(N,) what a subject did; None where no outcome could be read."""
    answers = subject.read(definition, inputs)
    readings = [None if isinstance(one, CallFailure) else one for one in answers]
    return decide(definition, inputs, readings, model=subject.name)


def measured(
    definition: Definition, model: str, inputs: Sequence[Input], seen: Sequence[Observation | None]
) -> Rates:
    """Shares of outcomes, and how well plain predictors do on new sources."""
    pairs = [(one, o) for one, o in zip(inputs, seen, strict=True) if o]
    counts = Counter(observation.outcome for _, observation in pairs)
    masses = [o.label_mass for _, o in pairs if not math.isnan(o.label_mass)]
    tree, words = predicted([one for one, _ in pairs], [o.outcome for _, o in pairs])
    return Rates(
        behaviour=definition.name,
        model=model,
        n_inputs=len(inputs),
        n_sources=len({one.source for one in inputs}),
        outcomes=tuple((name, counts[name] / max(len(pairs), 1)) for name in definition.outcomes),
        label_mass=float(np.mean(masses)) if masses else math.nan,
        lost=1 - len(pairs) / len(inputs),
        majority=max(counts.values(), default=0) / max(len(pairs), 1),
        tree=tree,
        words=words,
        seconds=math.nan,
    )


def predicted(inputs: Sequence[Input], outcomes: Sequence[str]) -> tuple[float, float]:
    """Accuracy of a small tree and of a logistic regression on sources that they have not seen."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    y = np.array(outcomes)
    sources = np.array([one.source for one in inputs])
    n_folds = min(_FOLDS, len(set(sources.tolist())))
    if len(set(outcomes)) < 2 or n_folds < 2:
        return math.nan, math.nan
    X = features([one.text for one in inputs])
    folds = list(GroupKFold(n_folds).split(X, y, sources))
    tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=4, random_state=0)
    words = LogisticRegression(C=0.3, max_iter=2_000)
    X_scaled = X / np.maximum(np.abs(X).max(axis=0), 1)
    return (
        float((cross_val_predict(tree, X, y, cv=folds) == y).mean()),
        float((cross_val_predict(words, X_scaled, y, cv=folds) == y).mean()),
    )


def features(texts: Sequence[str]) -> Floats:
    """(N, F) what can be seen of a text: its words, its first and last word, its length and its numbers."""
    cut = [[word.lower() for word in _WORD.findall(text)] for text in texts]
    named = [{*words, *(f"^{w}" for w in words[:1]), *(f"{w}$" for w in words[-1:])} for words in cut]
    counts = Counter(name for names in named for name in names)
    kept = sorted(name for name, n in counts.items() if _FEWEST <= n < len(texts))
    present = np.array([[name in names for name in kept] for names in named], dtype=np.float64)
    shape = np.array([_shape(text, words) for text, words in zip(texts, cut, strict=True)])
    return np.hstack([present.reshape(len(texts), -1), shape])


def _shape(text: str, words: Sequence[str]) -> list[float]:
    numbers = [float(word) for word in words if word.isdigit()][:2]
    first, second = (*numbers, 0.0, 0.0)[:2]
    repeats = len(words) - len(set(words))
    return [len(words), len(text), text.count(","), text.count('"'), repeats, first, second, first - second]


_HEADS = ("behaviour", "model", "n", "src", "mass", "lost", "major", "tree", "words", "s", "outcomes")


def _written(rates: Rates) -> str:
    shares = ", ".join(f"{name} {share:.2f}" for name, share in rates.outcomes)
    middle = (rates.label_mass, rates.lost, rates.majority, rates.tree, rates.words)
    numbers = ["-" if math.isnan(x) else f"{x:.2f}" for x in middle]
    head = (rates.behaviour, rates.model, str(rates.n_inputs), str(rates.n_sources))
    return _line(*head, *numbers, f"{rates.seconds:.0f}", shares)


def _line(*cells: Any) -> str:
    name, model, *rest, shares = cells
    return f"{name:22} {model:19} " + " ".join(f"{cell:>5}" for cell in rest) + f"  {shares}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
