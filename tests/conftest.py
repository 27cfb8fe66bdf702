"""Shared fixtures: real data where LESIONLENS_DATA names it, a stated skip where it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _folder_from(setting: str, what: str) -> Path:
    value = os.environ.get(setting)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{setting} names no folder of {what}")
    return Path(value)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return _folder_from("LESIONLENS_DATA", "datasets")


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    return _folder_from("LESIONLENS_WEIGHTS", "ImageNet backbones")
