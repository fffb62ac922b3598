"""How a causal language model makes logits of its last hidden states, for all who read only some of them.

Knows models of transformers by their configs, and imports no library.
"""

from __future__ import annotations

from typing import Any


def logits_of(model: Any, hidden: Any) -> Any:
    """(..., V) in float32, as the model itself makes them of (..., D)."""
    logits = model.get_output_embeddings()(hidden).float()
    config = model.config
    logits = logits * getattr(config, "logit_scale", 1.0)  # Cohere
    logits = logits / getattr(config, "logits_scaling", 1.0)  # Granite
    cap = getattr(config, "final_logit_softcapping", None)  # Gemma 2
    return logits if cap is None else cap * (logits / cap).tanh()
