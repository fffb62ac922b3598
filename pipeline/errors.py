"""The errors of scrutable, as one tree.

    ScrutableError                 every failure that we foresee; the CLI prints one line and exits with 2
    ├── ConfigError                a config, an override or an argument that cannot be used
    ├── AssetError                 a model or corpus that cannot be resolved, fetched or verified
    ├── CorpusError                a corpus that cannot be read, is empty, binary, or too small for its splits
    ├── RunFolderError             a run folder of another config, or damaged, or that cannot be written
    ├── CapabilityError            a model or tokenizer that cannot do what the config asks of it
    ├── EndpointError              a server that cannot be asked: address, key, quota, model, or gone
    │   └── RequestRefused         a request that the server will not answer in any attempt
    ├── BudgetReached              the tokens or the money that a run may spend are spent; exit code 4
    └── ParseError                 text that does not hold what its writer promised

A failure of a single unit is no exception: it is a `scrutable.pipeline.records.Failure`.
"""


class ScrutableError(Exception):
    """Base of every foreseen error; `str(error)` is one line: what, where, why, what to do."""


class ConfigError(ScrutableError):
    """A config, an override or an argument that cannot be used."""


class AssetError(ScrutableError):
    """A model or corpus that cannot be resolved, fetched or verified."""


class CorpusError(ScrutableError):
    """A corpus that cannot be read, is empty, binary, or too small for its splits."""


class RunFolderError(ScrutableError):
    """A run folder that belongs to another config, is damaged, or cannot be written."""


class CapabilityError(ScrutableError):
    """A model or tokenizer that cannot do what the config asks of it."""


class EndpointError(ScrutableError):
    """A server that cannot be asked: its address, our key or quota, its models, or it is gone."""


class RequestRefused(EndpointError):
    """A request that the server will not answer in any attempt: a field, a path or a model that it lacks."""


class BudgetReached(ScrutableError):
    """The tokens or the money that a run may spend are spent; all that was answered is kept."""


class ParseError(ScrutableError):
    """Text that does not hold what its writer promised."""
