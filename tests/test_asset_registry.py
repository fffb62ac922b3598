"""The registry: complete, and named in the NOTICE."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scrutable.pipeline.asset_registry import ASSETS, Asset


@pytest.mark.parametrize("asset", ASSETS.values(), ids=lambda asset: asset.name)
def test_every_registered_asset_is_complete(asset: Asset) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", asset.sha256)
    assert asset.size > 0
    assert asset.download > 0
    assert asset.licence
    assert "\n" not in asset.description
    assert len({carrier.member for carrier in asset.carriers}) == len(asset.carriers) > 0
    if asset.kind == "model":
        assert re.fullmatch(r"4-bit quantisation \(Q4_\w+\) dequantised to bfloat16", asset.note)
        assert asset.prompt
        assert re.compile(asset.expected)


def test_the_notice_names_every_registered_asset_and_its_licence() -> None:
    notice = (Path(__file__).parent.parent / "NOTICE").read_text("utf-8")
    for asset in ASSETS.values():
        assert asset.name in notice
        assert asset.licence in notice
        assert re.sub(r"\d+$", "", asset.carriers[0].wheel) in notice
