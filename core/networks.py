"""The networks there are, as data: ``networks.toml``. Their builders are in ``architectures``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Parameter = int | float | str

_FILE = Path(__file__).with_name("networks.toml")


class Network(BaseModel):
    """One network; ``networks.toml`` says what each field is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    framework: Literal["torch", "keras"]
    value_range: str
    builder: str
    parameters: dict[str, Parameter] = {}
    search: dict[str, tuple[Parameter, ...]] = {}


@cache
def networks() -> dict[str, Network]:
    """All networks by name."""
    rows = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return {name: Network(**({"builder": name} | row)) for name, row in rows.items()}
