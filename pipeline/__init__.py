"""The core of scrutable: from a corpus and a subject model to scored explanations.

from scrutable.pipeline import load_run
"""

from scrutable.pipeline.run import Run, load_run

__all__ = ["Run", "load_run"]
