"""What distinguishes an outlining network, read from its TOML file."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from core.recipe import Augmentation, Count, Data, Preprocessing, Source, Training

BUSI_UNET = "busi-unet"
_FOLDER = Path(__file__).parent


class OutlineRecipe(BaseModel):
    """Data, preprocessing, network, training and known limits of one outlining network.

    ``classes`` are the labels of its images, ``lesion_classes`` those whose images hold a lesion.
    ``encoder`` is a name of segmentation-models-pytorch; ``decoder_channels`` go from the
    coarsest to the finest stage. The encoder learns at ``encoder_rate`` of the
    learning rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    summary: str
    modality: str
    trained_on: str
    limits: tuple[str, ...]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...]
    lesion_classes: tuple[str, ...]
    encoder: str
    decoder_channels: tuple[Count, ...] = Field(min_length=4, max_length=4)
    sources: tuple[Source, ...]
    data: Data
    preprocessing: Preprocessing
    augmentation: Augmentation
    training: Training
    encoder_rate: float = Field(gt=0, le=1)

    def method(self) -> dict:
        """What decides the result of a training; the prose does not."""
        prose = {"title", "summary", "modality", "trained_on", "limits", "notes", "sources"}
        return self.model_dump(mode="json", exclude=prose)


@cache
def load_outline_recipe(recipe_id: str = BUSI_UNET) -> OutlineRecipe:
    """The recipe of this id. Raises FileNotFoundError for an unknown one."""
    return parse_outline_recipe((_FOLDER / f"{recipe_id}.toml").read_text(encoding="utf-8"))


def parse_outline_recipe(text: str) -> OutlineRecipe:
    """Validate the text of a TOML file. Raises ValueError naming what is wrong."""
    return OutlineRecipe(**tomllib.loads(text))
