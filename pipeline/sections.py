"""What all parts of a config are made of: closed, frozen sections, and how a model is named."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, Field

from scrutable.pipeline.placement import DtypeName

PositiveInt = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]  # stands in file names
RunName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the config: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Section):
    """A language model: a known name, a local path or a hub id, and how to run it."""

    model: str
    device: str = "auto"
    dtype: DtypeName = "auto"
    batch_size: PositiveInt = 16  # prompts, or for a subject windows, in one forward pass


class AskingConfig(ModelConfig):
    """A language model that is asked with a prompt file."""

    prompt: str
    reads_labels: ClassVar[bool] = True  # False: it is asked for text


class NamedJob(Section):
    """Anything that has a run folder."""

    name: RunName
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved config, 16 hex digits."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def kinds_that_need_no_more(union: Any) -> tuple[str, ...]:
    """Of a discriminated union of sections, the kinds without a key that has to be given."""
    members = get_args(get_args(union)[0])
    return tuple(
        member.model_fields["kind"].default
        for member in members
        if not any(field.is_required() for field in member.model_fields.values())
    )
