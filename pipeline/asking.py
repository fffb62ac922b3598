"""The wrappers of Ask: an answer is looked up, allowed, made, charged and kept, in this order.

A backend answers prompts one by one as it can; what it costs, who pays, and whether the answer is already
there is decided here, the same for all of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Protocol, TypeVar

from scrutable.pipeline.errors import BudgetReached
from scrutable.pipeline.journal import Journal, dollars, key_of
from scrutable.pipeline.protocols import Ask
from scrutable.pipeline.records import CallFailure, Completion, Cost, Generate, Prompt, ReadLabels
from scrutable.pipeline.sections import PriceConfig

_LETTERS_PER_TOKEN = 3  # to reserve by, before the server has counted; English has more
_KEPT_FAILURES = ("refused", "too_long")  # an answer that would be the same at every attempt

K = TypeVar("K", bound=Hashable)
Admit = Callable[[int], None]
Arrived = Callable[[int, "Completion | CallFailure"], None]


class Backend(Protocol):
    """Answers prompts in any order, and says of each when it arrives."""

    @property
    def identity(self) -> str:
        """What its answers depend on beside the prompt: weights, and how label distributions are read."""
        ...

    def answer(self, prompts: Sequence[Prompt], *, admit: Admit, arrived: Arrived) -> None:
        """Calls `admit` with the number of a prompt before it is asked, and `arrived` with its answer.

        Both may be called from another thread. Where `admit` raises, what is under way is finished, nothing
        more is asked, and the error is raised.
        """
        ...


class Budget:
    """What a run may spend, counted over all its starts and processes.

    Calls under way are reckoned by what they may take, so that a run of one process ends below its budget.
    """

    def __init__(self, journal: Journal, *, max_tokens: int | None, max_dollars: float | None) -> None:
        self._journal = journal
        self._max_tokens, self._max_dollars = max_tokens, max_dollars
        self._tokens, self._dollars = 0, 0.0  # set aside
        self._lock = threading.Lock()

    def reserve(self, tokens: int, dollars: float) -> None:
        """Sets something aside for a call. Raises BudgetReached if it might not be covered."""
        if self._max_tokens is None and self._max_dollars is None:
            return
        spent_tokens, spent_dollars = self._journal.total()
        with self._lock:
            if self._max_tokens is not None and spent_tokens + self._tokens + tokens > self._max_tokens:
                raise BudgetReached(
                    f"the budget of {self._max_tokens:,} tokens is reached ({spent_tokens:,} spent): every "
                    "answer so far is kept; raise --max-tokens and run the same command to go on"
                )
            total = spent_dollars + self._dollars + dollars
            if self._max_dollars is not None and total > self._max_dollars:
                raise BudgetReached(
                    f"the budget of ${self._max_dollars:,.2f} is reached (${spent_dollars:,.4f} spent): "
                    "every answer so far is kept; raise --max-cost and run the same command to go on"
                )
            self._tokens += tokens
            self._dollars += dollars

    def release(self, tokens: int, dollars: float) -> None:
        """Gives back what was set aside for a call that is charged now."""
        if self._max_tokens is None and self._max_dollars is None:
            return
        with self._lock:
            self._tokens -= tokens
            self._dollars -= dollars


class Purse:
    """Charges one role's calls of one model to the journal, within the budget of the run."""

    def __init__(
        self, journal: Journal, budget: Budget | None, *, role: str, model: str, price: PriceConfig | None
    ) -> None:
        self.journal, self.role, self.model = journal, role, model
        self._budget, self._price = budget, price

    def reserve(self, prompt: Prompt) -> None:
        """Sets aside what a prompt may take. Raises BudgetReached."""
        if self._budget:
            self._budget.reserve(*self._expected(prompt))

    def charge(self, prompts: Sequence[Prompt], answers: Sequence[Completion | CallFailure]) -> None:
        """Books what answers took."""
        cost = sum((answer.cost for answer in answers if isinstance(answer, Completion)), start=Cost())
        n_failed = sum(isinstance(answer, CallFailure) for answer in answers)
        self.journal.charge(
            self.role, self.model, cost, price=self._price, calls=len(answers), failed=n_failed
        )
        if self._budget:
            for prompt in prompts:
                self._budget.release(*self._expected(prompt))

    def replayed(self, keys: Sequence[bytes]) -> None:
        """Notes that answers were found."""
        self.journal.touch(keys)
        self.journal.charge(self.role, self.model, price=self._price, replayed=len(keys))

    def _expected(self, prompt: Prompt) -> tuple[int, float]:
        read = prompt.read
        lengths = [len(prompt.whole)]
        if isinstance(read, ReadLabels):  # a server reads each position as a prompt of its own
            lead = sum(map(len, prompt.shared))
            lengths = [lead + position for position in read.positions]
        prompts = sum(length // _LETTERS_PER_TOKEN + 1 for length in lengths)
        replies = read.max_tokens if isinstance(read, Generate) else len(lengths)
        cost = Cost(prompts, prompts, replies)
        return prompts + replies, dollars(cost, self._price) if self._price else 0.0


class UnderWay:
    """Questions that somebody in this process has asked and nobody has answered yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[bytes, Future[Completion | CallFailure]] = {}

    def claim(
        self, keys: Sequence[bytes]
    ) -> tuple[list[bytes], dict[bytes, Future[Completion | CallFailure]]]:
        """The keys that the caller has to ask itself, and what to wait for with the others."""
        mine, others = [], {}
        with self._lock:
            for key in keys:
                if key in self._futures:
                    others[key] = self._futures[key]
                else:
                    self._futures[key] = Future()
                    mine.append(key)
        return mine, others

    def finish(self, key: bytes, answer: Completion | CallFailure | BaseException) -> None:
        """Tells all who wait."""
        with self._lock:
            future = self._futures.pop(key, None)
        if future is None:
            return
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class JournaledAsk:
    """An `Ask` that pays for no answer twice: not in one batch, not in two threads, not in two runs."""

    def __init__(self, backend: Backend, purse: Purse, under_way: UnderWay) -> None:
        self._backend, self._purse, self._under_way = backend, purse, under_way

    def __call__(self, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        """One answer for each prompt; of equal prompts the first carries what it took.

        Raises BudgetReached or EndpointError; what was answered until then is kept.
        """
        keys = [key_of(prompt, identity=self._backend.identity) for prompt in prompts]
        of_key = dict(zip(reversed(keys), reversed(prompts), strict=True))  # the first of equal ones
        found = self._purse.journal.find(list(of_key))
        if found:
            self._purse.replayed(list(found))
        missing = [key for key in dict.fromkeys(keys) if key not in found]
        mine, others = self._under_way.claim(missing)
        try:
            found |= self._made(mine, of_key)
        except BaseException as error:
            for key in mine:
                self._under_way.finish(key, error)
            raise
        found |= {key: future.result() for key, future in others.items()}
        return paid_once(keys, found)

    def _made(
        self, keys: Sequence[bytes], of_key: dict[bytes, Prompt]
    ) -> dict[bytes, Completion | CallFailure]:
        if not keys:
            return {}
        made: dict[bytes, Completion | CallFailure] = {}
        prompts = [of_key[key] for key in keys]

        def arrived(number: int, answer: Completion | CallFailure) -> None:
            purse = self._purse
            if isinstance(answer, Completion) or answer.kind in _KEPT_FAILURES:
                purse.journal.keep(keys[number], answer, model=purse.model, role=purse.role)
            purse.charge([prompts[number]], [answer])
            made[keys[number]] = answer
            self._under_way.finish(keys[number], answer)

        self._backend.answer(
            prompts, admit=lambda number: self._purse.reserve(prompts[number]), arrived=arrived
        )
        assert len(made) == len(keys), f"{len(keys) - len(made)} prompts got no answer"
        return made


class ChargedAsk:
    """An `Ask` whose answers are counted and not kept: those of a model in this process cost no money.

    They also depend on their batch in the last bits, and an interrupted stage would mix what is kept of one
    batch with what is made in another; the part files of a run keep them whole.
    """

    def __init__(self, ask: Ask, purse: Purse) -> None:
        self._ask, self._purse = ask, purse

    def __call__(self, prompts: Sequence[Prompt]) -> list[Completion | CallFailure]:
        """What the model says. Raises BudgetReached before it is asked."""
        for prompt in prompts:
            self._purse.reserve(prompt)
        answers = self._ask(prompts)
        self._purse.charge(prompts, answers)
        return answers


def paid_once(
    keys: Sequence[K], found: Mapping[K, Completion | CallFailure]
) -> list[Completion | CallFailure]:
    """The answer to each key; of equal keys the first carries what it took, the others only their prompt."""
    answers: list[Completion | CallFailure] = []
    is_paid: set[K] = set()
    for key in keys:
        answer = found[key]
        if key in is_paid and isinstance(answer, Completion):
            answer = replace(answer, cost=Cost(prompt_tokens=answer.cost.prompt_tokens))
        is_paid.add(key)
        answers.append(answer)
    return answers
