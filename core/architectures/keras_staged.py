"""A Keras network as one flat graph with named stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import keras
import numpy as np

from core.keras_compat import keep_session

keep_session()


class Branch(NamedTuple):
    """One of the networks whose features a stage concatenates: the channels that are its own."""

    stage: str
    channels: slice


@dataclass(frozen=True)
class StagedNetwork:
    """A flat functional model that gives logits, and the layers where its stages end.

    ``model`` maps (N, H, W, 3) to logits (N, classes). ``stages`` maps a stage's name, from
    input to output, to the name of the layer whose output (N, h, w, K) leaves it.
    ``branches``: name -> ``Branch``, for a stage that concatenates several networks' features.
    ``keeps_statistics``: batch norms use their stored statistics in training too.
    """

    model: keras.Model
    stages: dict[str, str]
    keeps_statistics: bool = False
    branches: Mapping[str, Branch] = field(default_factory=dict)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages from input to output."""
        return tuple(self.stages)

    def to_stage(self, stage: str) -> keras.Model:
        """Model from the input to the features that leave ``stage``."""
        return keras.Model(self.model.input, self._output(stage))

    def from_stage(self, stage: str) -> keras.Model:
        """Model from the features that left ``stage`` to the logits."""
        return keras.Model(self._output(stage), self.model.output)

    def for_training(self) -> Callable:
        """Function from a batch to logits as training needs it, with dropout."""
        if not self.keeps_statistics:
            return partial(self.model, training=True)
        last = self.stage_names[-1]
        body, head = self.to_stage(last), self.from_stage(last)
        return lambda batch: head(body(batch, training=False), training=True)

    def split_at_frozen(self) -> tuple[keras.Model, keras.Model] | None:
        """The part that nothing trainable comes before, and the rest, which takes its outputs.

        Dropout behind the last stage belongs to the rest, to be drawn anew each time. None if no
        layer was told to stay as it is, or if the rest holds statistics that are to be kept, which
        ``for_training`` does.
        """
        frozen, body = set(), {one.name for one in self.to_stage(self.stage_names[-1]).layers}
        for layer in self.model.layers:
            before = inputs_of(layer)
            draws = isinstance(layer, keras.layers.Dropout) and layer.name not in body
            learns = bool(layer.trainable_weights) or draws
            if not learns and all(one.name in frozen for one in before):
                frozen.add(layer.name)
        ends = {
            one.name: one.output
            for layer in self.model.layers
            if layer.name not in frozen
            for one in inputs_of(layer)
            if one.name in frozen
        }
        kept = [layer for layer in self.model.layers if layer.name in frozen]
        learning = (layer for layer in self.model.layers if layer.name not in frozen)
        norms = any(isinstance(layer, keras.layers.BatchNormalization) for layer in learning)
        if norms and self.keeps_statistics:
            return None
        if not any(layer.weights and not layer.trainable for layer in kept):
            return None
        cut = list(ends.values())
        return keras.Model(self.model.input, cut), keras.Model(cut, self.model.output)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """A copy of all weights and batch-norm statistics, by name, float32."""
        return {v.path: np.array(v.numpy(), np.float32) for v in _saved(self.model)}

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take all weights from arrays. Raises ValueError if one is missing, extra or misfits."""
        variables = {v.path: v for v in _saved(self.model)}
        wrong = sorted(variables.keys() ^ arrays.keys())
        if wrong:
            raise ValueError(f"The weights do not fit the network: {wrong[:3]}.")
        for path, variable in variables.items():
            variable.assign(np.asarray(arrays[path], np.float32))

    def _output(self, stage: str):
        return self.model.get_layer(self.stages[stage]).output


def _saved(model: keras.Model) -> list:
    """Variables that belong to the trained system. The seeds of dropout layers do not, nor does
    the input normalisation of Keras' EfficientNet-B0, which stands idle here and whose name
    counts the networks that the process has built."""
    idle = ("seed", "normalization")
    return [
        v
        for v in model.variables
        if v.dtype.startswith("float") and not v.path.rsplit("/", 2)[-2].startswith(idle)
    ]


def inputs_of(layer) -> list:
    """The layers whose outputs a layer of a flat graph takes."""
    return [node.operation for node in layer._inbound_nodes[0].parent_nodes]
