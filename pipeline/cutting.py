"""From a corpus to windows in a subject's tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scrutable.pipeline.config import CorpusConfig
from scrutable.pipeline.corpus import check_splits, load_corpus
from scrutable.pipeline.errors import CorpusError
from scrutable.pipeline.protocols import Progress, Subject
from scrutable.pipeline.windows import Windows, WindowsBuilder


def cut_corpus(
    settings: CorpusConfig, path: Path, subject: Subject, progress: Progress, *, seed: int
) -> tuple[Windows, dict[str, Any]]:
    """The windows of a corpus in a subject's tokens, and what the manifest says of it.

    Raises CorpusError for a corpus that cannot be read or is too small for its splits.
    """
    corpus = load_corpus(
        path,
        shares=settings.splits,
        seed=seed,
        text_field=settings.text_field,
        id_field=settings.id_field,
        similarity=settings.near_duplicate,
    )
    builder = WindowsBuilder(length=settings.window, skip=settings.skip)
    for document in corpus:
        ids, pieces = subject.tokenize([document.text])[0]
        cut = settings.max_document_tokens
        builder.add(document, ids[:cut], pieces[:cut])
        progress(min(builder.n_tokens, settings.max_tokens), settings.max_tokens)
        if builder.n_tokens >= settings.max_tokens:
            break
    windows = builder.build()
    if not sum(corpus.statistics.characters.values()):
        raise CorpusError(f"{path} is empty: give a corpus with text in it")
    if not len(windows):
        raise CorpusError(
            f"{path}: no document has more than {settings.skip} tokens, so there is nothing to score; give "
            "longer documents or lower corpus.skip"
        )
    check_splits(windows.documents_in_splits)
    facts = {
        "name": settings.source,
        "n_documents": len(windows.documents),
        "n_tokens": len(windows.ids),
        "n_windows": len(windows),
        "documents_in_splits": dict(windows.documents_in_splits),
        "too_short": windows.n_too_short,
        "dropped": [f"{document} (resembles {other})" for document, other in corpus.statistics.dropped],
    }
    return windows, facts
