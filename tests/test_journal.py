"""An answer is paid for once, found by what it depends on, and on disk before anybody sees it."""

from __future__ import annotations

import multiprocessing
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrutable.pipeline.asking import Admit, Arrived, Budget, ChargedAsk, JournaledAsk, Purse, UnderWay
from scrutable.pipeline.errors import BudgetReached, EndpointError, RunFolderError
from scrutable.pipeline.journal import Journal, dollars, key_of
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Prompt, ReadLabels
from scrutable.pipeline.sections import PriceConfig

COST = Cost(prompt_tokens=10, computed_tokens=6, generated_tokens=4)
PRICE = PriceConfig(prompt=1.0, generated=10.0, cached=0.5)


class CountingBackend:
    """Answers a prompt with its own text, and remembers what it was asked."""

    def __init__(
        self, *, identity: str = "toy", fails: str = "", stops_at: str = "", delay: float = 0.0
    ) -> None:
        self.identity = identity
        self.asked: list[str] = []
        self._fails, self._stops_at, self._delay = fails, stops_at, delay

    def answer(self, prompts: Sequence[Prompt], *, admit: Admit, arrived: Arrived) -> None:
        for number, prompt in enumerate(prompts):
            admit(number)
            if prompt.text == self._stops_at:
                raise EndpointError("the server is gone")
            time.sleep(self._delay)
            self.asked.append(prompt.text)
            kind = "refused" if prompt.text == "forbidden" else "unavailable"
            failed = CallFailure(kind, "planted") if prompt.text in (self._fails, "forbidden") else None  # type: ignore[arg-type]
            arrived(number, failed or Completion(text=prompt.text.upper(), cost=COST, stopped="stop"))


def prompt(text: str, **fields: object) -> Prompt:
    return Prompt((), text, Generate(8), **fields)  # type: ignore[arg-type]


def ask_of(
    backend: CountingBackend, path: Path, *, run: str = "run", max_tokens: int | None = None
) -> JournaledAsk:
    journal = Journal(path, run=run)
    budget = Budget(journal, max_tokens=max_tokens, max_dollars=None)
    return JournaledAsk(backend, Purse(journal, budget, role="explainer", model="m", price=PRICE), UnderWay())


def test_a_second_run_of_the_same_prompts_asks_nothing_and_gets_the_same(tmp_path: Path) -> None:
    backend = CountingBackend()
    prompts = [prompt("a"), prompt("b"), prompt("a")]
    first = ask_of(backend, tmp_path / "j", run="one")(prompts)
    second = ask_of(backend, tmp_path / "j", run="two")(prompts)
    assert first == second
    assert backend.asked == ["a", "b"]
    assert [answer.cost.generated_tokens for answer in first if isinstance(answer, Completion)] == [4, 4, 0]


@pytest.mark.parametrize(
    "other",
    [
        prompt("a", is_chat=True),
        prompt("a", reply_start="x"),
        Prompt((), "a", Generate(9)),
        Prompt((), "a", Generate(8, temperature=0.5)),
        Prompt((), "a", Generate(8, seed=1)),
        Prompt((), "a", Generate(8, stop=("\n",))),
        Prompt((), "a", ReadLabels(("0",), (1,))),
        prompt("b"),
    ],
)
def test_whatever_changes_an_answer_changes_its_key(other: Prompt) -> None:
    assert key_of(prompt("a"), identity="m") != key_of(other, identity="m")
    assert key_of(other, identity="m") != key_of(other, identity="other weights")


@given(st.text(max_size=8), st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_where_a_prompt_is_shared_changes_no_key(a: str, b: str, c: str) -> None:
    read = ReadLabels(("0",), (len(c),))
    one = Prompt((a, b), c, read)
    two = Prompt((a + b,), c, read)
    three = Prompt((), a + b + c, ReadLabels(("0",), (len(a + b + c),)))
    assert key_of(one, identity="m") == key_of(two, identity="m") == key_of(three, identity="m")


def test_a_refusal_is_an_answer_and_an_outage_is_none(tmp_path: Path) -> None:
    backend = CountingBackend(fails="b")
    for _ in range(2):
        answers = ask_of(backend, tmp_path / "j")([prompt("forbidden"), prompt("b")])
        assert [a.kind for a in answers if isinstance(a, CallFailure)] == ["refused", "unavailable"]
    assert backend.asked == ["forbidden", "b", "b"]


def test_what_was_answered_before_an_error_is_kept(tmp_path: Path) -> None:
    with pytest.raises(EndpointError):
        ask_of(CountingBackend(stops_at="c"), tmp_path / "j")([prompt(text) for text in "abcd"])
    backend = CountingBackend()
    ask_of(backend, tmp_path / "j")([prompt(text) for text in "abcd"])
    assert backend.asked == ["c", "d"]


def test_two_threads_ask_an_equal_question_once(tmp_path: Path) -> None:
    backend = CountingBackend(delay=0.05)
    ask = ask_of(backend, tmp_path / "j")
    answers: list[list[Completion | CallFailure]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask([prompt("a"), prompt("b")]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(backend.asked) == ["a", "b"]
    assert {tuple(a.text for a in found if isinstance(a, Completion)) for found in answers} == {("A", "B")}


def test_an_error_reaches_all_who_wait_for_the_answer(tmp_path: Path) -> None:
    ask = ask_of(CountingBackend(stops_at="b", delay=0.1), tmp_path / "j")
    errors: list[BaseException] = []

    def work() -> None:
        try:
            ask([prompt("a"), prompt("b")])
        except EndpointError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(errors) == 3


def test_a_budget_stops_before_it_is_passed_and_counts_all_starts(tmp_path: Path) -> None:
    texts = [prompt(letter) for letter in "abcdefgh"]
    backend = CountingBackend()
    with pytest.raises(BudgetReached, match=r"budget of 30 tokens is reached \(28 spent\).*raise --max"):
        ask_of(backend, tmp_path / "j", max_tokens=30)(texts)
    assert backend.asked == ["a", "b"]
    with pytest.raises(BudgetReached):
        ask_of(backend, tmp_path / "j", max_tokens=30)(texts)
    assert backend.asked == ["a", "b"]
    ask_of(backend, tmp_path / "j", max_tokens=10_000)(texts)
    assert backend.asked == list("abcdefgh")
    [row] = Journal(tmp_path / "j", run="run").spent()
    assert (row.calls, row.replayed, row.tokens) == (8, 4, 8 * 14)
    assert row.tokens <= 10_000


def test_money_is_counted_by_the_million_and_cached_tokens_at_their_own_price() -> None:
    assert dollars(COST, PRICE) == pytest.approx((6 * 1.0 + 4 * 0.5 + 4 * 10.0) / 1e6)
    without = PriceConfig(prompt=1.0, generated=10.0)
    assert dollars(COST, without) == pytest.approx((10 * 1.0 + 4 * 10.0) / 1e6)


def test_an_unknown_price_is_counted_and_is_not_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", run="run")
    Purse(journal, None, role="r", model="m", price=None).charge([prompt("a")], [Completion("x", cost=COST)])
    [row] = journal.spent()
    assert (row.unpriced, row.dollars, row.calls) == (1, 0.0, 1)


def test_a_model_in_this_process_is_charged_and_not_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", run="run")
    ask = ChargedAsk(
        lambda prompts: [Completion(p.text, cost=COST) for p in prompts],
        Purse(journal, None, role="r", model="m", price=PRICE),
    )
    ask([prompt("a"), prompt("b")])
    assert journal.kept() == []
    assert journal.spent()[0].prompt_tokens == 20


def test_label_readings_come_back_as_they_were(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", run="run")
    answer = Completion(label_logprobs=((-1.5, float("-inf")), (-0.25, -3.0)), cost=COST)
    journal.keep(b"k", answer, model="m", role="r")
    assert journal.find([b"k", b"other"]) == {b"k": answer}


def test_pruning_takes_what_is_old_or_of_a_run_and_leaves_the_accounts(tmp_path: Path) -> None:
    for run, text in (("one", "a"), ("two", "b")):
        ask_of(CountingBackend(), tmp_path / "j", run=run)([prompt(text)])
    journal = Journal(tmp_path / "j", run="")
    assert [(row.run, row.answers) for row in journal.kept()] == [("one", 1), ("two", 1)]
    assert journal.prune(unused_since=time.time() - 60) == 0
    assert journal.prune(run="one") == 1
    assert journal.prune(unused_since=time.time() + 60) == 1
    assert len(journal.spent()) == 2


def test_a_file_that_is_no_journal_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("this is text, and long enough to be looked at as a database " * 20)
    with pytest.raises(RunFolderError, match="cannot be opened"):
        Journal(tmp_path / "j", run="run")


def test_a_file_that_another_is_making_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "j", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # as one who opens a new journal at the same moment
    done = threading.Timer(0.3, other.execute, ["COMMIT"])
    done.start()
    journal = Journal(tmp_path / "j", run="run")
    done.join()
    journal.keep(b"key", Completion("kept"), model="m", role="r")
    assert journal.find([b"key"]) == {b"key": Completion("kept")}


def test_a_file_that_another_never_lets_go_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scrutable.pipeline.journal._WAIT", 0.1)
    other = sqlite3.connect(tmp_path / "j", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RunFolderError, match=r"cannot be opened \(database is locked"):
        Journal(tmp_path / "j", run="run")


def write_many(path: str, first: int) -> None:
    journal = Journal(Path(path), run=f"run{first}")
    for number in range(first, first + 200):
        journal.keep(str(number).encode(), Completion(str(number)), model="m", role="r")
        journal.charge("r", "m", COST, price=PRICE, calls=1)


def test_two_processes_lose_nothing_of_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "j"
    workers = [context.Process(target=write_many, args=(str(path), first)) for first in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    journal = Journal(path, run="")
    assert sum(row.answers for row in journal.kept()) == 300
    assert sum(row.calls for row in journal.spent()) == 400
    assert len(journal.find([str(n).encode() for n in range(300)])) == 300
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
