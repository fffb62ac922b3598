"""The scripted backend: says what it was told to say, and remembers the questions."""

from __future__ import annotations

from scrutable.pipeline.backends.scripted import ScriptedBackend
from scrutable.pipeline.protocols import Ask
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Prompt, ReadLabels


def question(text: str, *shared: str) -> Prompt:
    return Prompt(shared=shared, text=text, read=Generate(max_tokens=8))


def test_answers_come_in_the_order_of_the_questions_and_questions_are_kept() -> None:
    backend = ScriptedBackend(lambda prompt: prompt.text.upper())
    ask: Ask = backend
    first, second, third = question("a"), question("b"), question("c")

    answers = ask([first, second]) + ask([third])

    assert [a.text for a in answers if isinstance(a, Completion)] == ["A", "B", "C"]
    assert backend.asked == [first, second, third]


def test_a_failure_stands_in_the_place_of_its_answer() -> None:
    failure = CallFailure("timeout", "too slow")
    backend = ScriptedBackend(lambda prompt: failure if prompt.text == "b" else "fine")
    assert backend([question("a"), question("b")])[1] is failure


def test_words_are_counted_as_tokens() -> None:
    (answer,) = ScriptedBackend(lambda _: "two words")([question(" is here?", "What")])
    assert isinstance(answer, Completion)
    assert answer.cost == Cost(prompt_tokens=3, computed_tokens=3, generated_tokens=2)


def test_log_probabilities_are_answered_as_they_are() -> None:
    prompt = Prompt(shared=(), text="a b", read=ReadLabels(("x", "y"), (1, 3)))
    (answer,) = ScriptedBackend(lambda _: [[-1.0, -2.0], [0.0, -9.0]])([prompt])
    assert answer == Completion(label_logprobs=((-1.0, -2.0), (0.0, -9.0)), cost=Cost(2, 2, 0))
