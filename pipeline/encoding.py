"""A prompt in a model's tokens: the same for every backend that asks the same model.

Prompts are cut in pieces, so that a shared part or a reading position is always a token boundary; backends
that send these tokens therefore read the same distributions from the same weights. Knows tokenizers of
transformers, and imports none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.records import CallFailure, Generate, Prompt, ReadChoice, ReadLabels
from scrutable.pipeline.spelling import Frame, chat_frame, check_chat, lead_ids, token_ids


class Encoded(NamedTuple):
    """A prompt in tokens."""

    number: int  # place in the caller's batch
    shared: tuple[tuple[int, ...], ...]
    ids: tuple[int, ...]
    reads: tuple[int, ...]  # for labels: index into `ids` of the token before each position
    endings: tuple[tuple[int, ...], ...] = ()  # for ReadChoice of several tokens: (L,) what may follow

    @property
    def n_shared(self) -> int:
        return sum(map(len, self.shared))

    @property
    def n_tokens(self) -> int:
        return self.n_shared + len(self.ids)

    @property
    def whole(self) -> tuple[int, ...]:
        """All tokens of the prompt."""
        return (*(token for part in self.shared for token in part), *self.ids)

    def too_long(
        self, read: Generate | ReadLabels | ReadChoice, *, limit: int, name: str, least: int = 1
    ) -> CallFailure | None:
        """The failure of a prompt that leaves no room for what is read; None where it fits.

        Args:
            read: what is wanted of the prompt.
            limit: tokens that the model takes, prompt and reply together.
            name: of the model.
            least: tokens that the backend has written even where only a distribution is read.
        """
        wanted = read.max_tokens if isinstance(read, Generate) else max(map(len, self.endings), default=least)
        if self.n_tokens <= limit - wanted:
            return None
        return CallFailure("too_long", f"{self.n_tokens} tokens, but {name} takes {limit - wanted}")

    @property
    def beginnings(self) -> list[list[int]]:
        """The prompt up to each reading position, for a backend that reads only after its last token."""
        whole, n_shared = list(self.whole), self.n_shared
        return [whole[: n_shared + stop + 1] for stop in self.reads]


class Encoder:
    """Cuts prompts with the tokenizer of one model."""

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        self.tokenizer = tokenizer
        self.name = name
        self._lead = lead_ids(tokenizer)

    def encode(self, prompts: Sequence[Prompt]) -> Iterator[Encoded]:
        """Each prompt in tokens. Raises CapabilityError for what cannot be asked of this model."""
        for number, prompt in enumerate(prompts):
            if prompt.is_chat and isinstance(prompt.read, ReadLabels):
                raise CapabilityError("label distributions cannot be read inside a chat message")
            lead, after = self._frame if prompt.is_chat else (self._lead, ())
            shared = [self.ids(part) for part in prompt.shared]
            if lead:
                shared = [lead, *shared]
            ids: list[int] = []
            reads: list[int] = []
            start = 0
            stops = prompt.read.positions if isinstance(prompt.read, ReadLabels) else ()
            for stop in stops:
                ids += self.ids(prompt.text[start:stop])
                reads.append(len(ids) - 1)
                start = stop
            ids += self.ids(prompt.text[start:])
            ids += [*after, *self.ids(prompt.reply_start)]
            shared = [part for part in shared if part]
            if shared and (not ids or reads[:1] == [-1]):
                # the model needs a token of the prompt's own, and a reading before it needs one to stand on
                *shared, last = shared
                ids, reads = [*last, *ids], [read + len(last) for read in reads]
            endings: tuple[tuple[int, ...], ...] = ()
            if isinstance(prompt.read, ReadChoice):
                reads = [len(ids) - 1]
                choices = self.choice_ids(prompt.read)
                endings = choices if any(len(choice) > 1 for choice in choices) else ()
            yield Encoded(number, tuple(shared), tuple(ids), tuple(reads), endings)

    def labels_of(self, read: ReadLabels | ReadChoice) -> tuple[int, ...]:
        """The single token of each label, or the first of each where a choice has longer ones."""
        if isinstance(read, ReadLabels):
            return label_ids(self.tokenizer, read.labels, name=self.name)
        return tuple(ids[0] for ids in self.choice_ids(read))

    def choice_ids(self, read: ReadChoice) -> tuple[tuple[int, ...], ...]:
        """The tokens of each label. Raises CapabilityError for labels that cannot be told apart."""
        choices = tuple(self.ids(label) for label in read.labels)
        if len(set(choices)) < len(choices) or not all(choices):
            raise CapabilityError(f"model {self.name}: the labels {read.labels} are not different texts")
        return choices

    def ids(self, text: str) -> tuple[int, ...]:
        """The tokens of a text alone."""
        return token_ids(self.tokenizer, text)

    @cached_property
    def _frame(self) -> Frame:
        return chat_frame(self.tokenizer, name=self.name)


def label_ids(tokenizer: Any, labels: Sequence[str], *, name: str) -> tuple[int, ...]:
    """The token of each label. Raises CapabilityError for a label that is not a single token."""
    ids = [tokenizer(label, add_special_tokens=False)["input_ids"] for label in labels]
    for label, tokens in zip(labels, ids, strict=True):
        if len(tokens) != 1 or tokens[0] == tokenizer.unk_token_id:
            found = f"{len(tokens)} tokens" if len(tokens) != 1 else "unknown to its tokenizer"
            raise CapabilityError(
                f"model {name}: the label {label!r} is {found}, so it cannot be read from one "
                "next-token distribution; use a simulator prompt whose labels are single tokens of this "
                "model (simulate_levels reads 0 to 9, simulate_marks an asterisk)"
            )
    return tuple(tokens[0] for tokens in ids)


def check_spelling(tokenizer: Any, *, name: str, labels: Sequence[str], is_chat: bool) -> None:
    """Raises CapabilityError unless a model with this tokenizer can be asked so.

    Each label must be a single token, and a chat prompt needs a chat template.
    """
    label_ids(tokenizer, labels, name=name)
    if is_chat:
        check_chat(tokenizer, name=name)
