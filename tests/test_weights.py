"""The digest of weights: all of them, remembered, and an error if they cannot be read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from toy_assets import no_convert, one_line

from scrutable.pipeline import assets
from scrutable.pipeline.errors import AssetError


def test_the_digest_of_several_weight_files_covers_all_of_them_and_is_remembered(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{}")
    lines = b""
    for number in (1, 2):
        (tmp_path / f"part-{number}.safetensors").write_bytes(b"%d" % number)
        lines += f"{hashlib.sha256(b'%d' % number).hexdigest()}  part-{number}.safetensors\n".encode()

    assert assets.resolve_model(str(tmp_path), convert=no_convert).digest == hashlib.sha256(lines).hexdigest()
    assert len(json.loads((cache / "digests.json").read_text())) == 2


@pytest.mark.usefixtures("cache")
def test_weights_that_cannot_be_read_are_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "gone")
    with pytest.raises(AssetError, match="cannot be read: No such file or directory") as caught:
        assets.resolve_model(str(tmp_path), convert=no_convert)
    one_line(caught)
