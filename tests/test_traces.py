"""Only wanted pairs are kept, and they come back as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scrutable.pipeline.traces import pack, unpack


def test_what_is_packed_comes_back_pair_by_pair(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    traces = [(w, rng.random((length, 3)).astype(np.float32)) for w, length in ((7, 4), (2, 1), (9, 6))]
    wanted = {7: [0, 2], 2: [1], 9: []}
    np.savez(tmp_path / "0000.npz", **pack(iter(traces), wanted | {9: [2]}))
    found = {(unit, window): values for unit, window, values in unpack(tmp_path / "0000.npz")}
    assert set(found) == {(0, 7), (2, 7), (1, 2), (2, 9)}
    for (unit, window), values in found.items():
        assert np.array_equal(values, dict(traces)[window][:, unit])
