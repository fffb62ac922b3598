"""A trained simulator as a plain token classifier: one folder that transformers and GPU servers load.

The adapter is merged, the layers above are gone, and the head is the classifier. What to send it: the prompt
trained_reader; what to read: the class probabilities of the last token of each word, as `alignment` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scrutable.evaluators.trained.reader import Reader, open_reader
from scrutable.pipeline.errors import CapabilityError
from scrutable.pipeline.placement import Placement
from scrutable.pipeline.protocols import LocatedModel


def export_reader(base: LocatedModel, adapter: Path, to: Path) -> Path:
    """Writes config, weights and tokenizer to the folder `to`.

    Raises CapabilityError for a base whose architecture has no token classifier in transformers, and for an
    adapter whose head is no plain classification of levels.
    """
    from transformers import AutoModelForTokenClassification

    reader = open_reader(base.path, adapter, Placement("cpu", "float32"))
    if reader.shape.objective == "hurdle":
        raise CapabilityError("a simulator trained with the hurdle objective is no plain classifier")
    config = _config(reader)
    try:
        classifier: Any = AutoModelForTokenClassification.from_config(config)
    except ValueError as error:
        raise CapabilityError(
            f"{base.name}: transformers has no token classifier of its architecture ({config.model_type})"
        ) from error
    body = getattr(classifier, classifier.base_model_prefix)
    body.load_state_dict(reader.body.state_dict())
    classifier.score.load_state_dict(reader.head.state_dict())
    classifier.save_pretrained(to)
    reader.tokenizer.save_pretrained(to)
    return to


def _config(reader: Reader) -> Any:
    config = reader.body.config
    levels = reader.shape.levels
    config.id2label = {number: f"{level:g}" for number, level in enumerate(levels)}
    config.label2id = {label: number for number, label in config.id2label.items()}
    config.num_labels = len(levels)
    config.classifier_dropout = 0.0
    return config
