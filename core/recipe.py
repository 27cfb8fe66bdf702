"""The Recipe record: everything that distinguishes one system of the literature.

A recipe is one TOML file in ``core/recipes``, validated into these records, which are frozen
and refuse unknown keys, so a misspelt setting is an error and never a default.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.networks import networks
from core.refusal import Refusal

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class RecipeError(Refusal):
    """A recipe is unknown or its file is not valid; the text says which and why."""


class Record(BaseModel):
    """One table of a recipe's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Record):
    """The paper a recipe follows."""

    title: str
    authors: str = ""
    year: int | None = None
    venue: str = ""
    doi: str = ""
    url: str = ""

    @property
    def link(self) -> str:
        """Its address on the web, or "" if that is not known."""
        return f"https://doi.org/{self.doi}" if self.doi else self.url


class Data(Record):
    """Which data set, and how it is split: shares of train, validation and test."""

    dataset: str
    fractions: tuple[Fraction, Fraction, Fraction]

    @model_validator(mode="after")
    def _sums_to_one(self) -> Data:
        if abs(sum(self.fractions) - 1) > 1e-6:
            raise ValueError(f"the split fractions {self.fractions} do not sum to 1")
        return self


class Overlay(Record):
    """How a lesion mask is blended into training images: tissue outside it is dimmed.

    ``I' = I*M + (1 - dimming) * I*(1 - M)``, for a share ``probability`` of the images.
    """

    dimming: Fraction
    probability: Fraction = 1.0


class Preprocessing(Record):
    """From scan to network input.

    ``value_range``: ``byte`` 0..255; ``unit`` 0..1; ``signed`` -1..1; ``imagenet`` the unit
    range minus the ImageNet mean, divided by the ImageNet standard deviation. ``polarity``:
    ``any`` as the image is; ``dark_air`` negatives are inverted (``core.polarity``).
    """

    size: tuple[Count, Count]
    value_range: Literal["byte", "unit", "signed", "imagenet"]
    region: Literal["none", "mask"] = "none"
    polarity: Literal["any", "dark_air"] = "any"
    training_overlay: Overlay | None = None

    @property
    def outlined(self) -> bool:
        """Whether the network sees the lesion inside its outline and nothing else."""
        return self.region == "mask"

    @property
    def dark_air(self) -> bool:
        """Whether the air around a breast must be dark."""
        return self.polarity == "dark_air"


class Augmentation(Record):
    """Random changes to training images; every amount is the largest one drawn.

    Shifts are shares of the side, angles are degrees, ``brightness``, ``contrast`` and
    ``saturation`` scale by a factor in ``1 +- amount``, ``hue`` is a share of the colour
    circle. ``applies_to`` tells whether all images are changed or only the copies that
    resampling added, beside which the originals stay as they are.
    """

    applies_to: Literal["all", "copies"] = "all"
    horizontal_flip: Fraction = 0.0
    rotation: float = 0.0
    shift: Fraction = 0.0
    shear: float = 0.0
    zoom: Fraction = 0.0
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    saturation: Fraction = 0.0
    hue: Fraction = 0.0


class Architecture(Record):
    """A network of ``core/networks.toml`` and those of its parameters that are not the default."""

    framework: Literal["torch", "keras"]
    name: str
    parameters: dict[str, int | float | str] = {}

    @model_validator(mode="after")
    def _sets_what_the_network_has(self) -> Architecture:
        network = networks().get(self.name)  # an unknown one is told when it is built
        known = [*network.search, *network.parameters] if network else self.parameters
        unknown = sorted(self.parameters.keys() - known)
        if unknown:
            raise ValueError(f"{self.name} has no {', '.join(unknown)}; it has {', '.join(known)}")
        return self


class Phase(Record):
    """One stretch of training: what learns, how long, how fast.

    ``trainable`` is ``head``, ``all`` or the beginnings of names of layers. An epoch takes at most
    ``steps`` batches, others each time, or all images. Under the schedule ``steps`` the rate is
    multiplied by ``decay_factor`` every ``decay_every`` epochs; under ``hill`` it rises from 0 and
    falls to 0 again (``core.training.schedule``). In PyTorch, stages before the last learn at
    ``stage_rate`` of it, times ``stage_decay`` for each stage that they are before it. The phase
    ends when the validation loss has not improved for ``patience`` epochs.
    """

    trainable: Literal["head", "all"] | tuple[str, ...]
    epochs: Count
    steps: Count | None = None
    learning_rate: Positive
    schedule: Literal["steps", "hill"] = "steps"
    decay_factor: Positive = 1.0
    decay_every: Count = 1
    stage_rate: Positive = 1.0
    stage_decay: Positive = 1.0
    patience: Count | None = None


class SecondTask(Record):
    """In training, a decoder outlines the lesion from the network's features, which so must tell
    where it is; it is thrown away afterwards.

    ``stages`` give it features, from half the input's resolution on, each half the one before;
    ``channels`` are the decoder's, the coarsest first. Its loss (``core.training.outline_loss``)
    is added ``weight`` times.
    """

    stages: tuple[str, ...] = Field(min_length=2)
    channels: tuple[Count, ...]
    weight: Positive = 1.0

    @model_validator(mode="after")
    def _as_many_of_both(self) -> SecondTask:
        if len(self.stages) != len(self.channels):
            raise ValueError("as many channels as stages are needed")
        return self


class Training(Record):
    """Optimiser, batch, phases and what is done about unequal class sizes.

    The rest is for PyTorch alone. ``class_weights``: how much the loss of an image of each class
    counts (empty: alike). ``averaging``: the network that is kept is the mean of those after each
    step, weights falling by this factor a step (0: the last one alone). ``kept_norms`` are the
    beginnings of names of stages whose batch norms keep ImageNet's statistics.
    """

    optimizer: Literal["adam", "nadam", "adamw", "sgd"]
    batch_size: Annotated[int, Field(ge=2)]  # batch norms cannot learn from a single image
    phases: tuple[Phase, ...] = Field(min_length=1)
    resampling: Literal["none", "random", "smote"] = "none"
    class_weights: tuple[Positive, ...] = ()
    label_smoothing: Fraction = 0.0
    averaging: float = Field(0.0, ge=0, lt=1)
    kept_norms: tuple[str, ...] = ()
    second_task: SecondTask | None = None


NAMES_STAGES = ("kept_norms", "second_task")
TORCH_ALONE = {
    **{name: Phase.model_fields[name].default for name in ("stage_rate", "stage_decay")},
    **{
        name: Training.model_fields[name].default
        for name in ("class_weights", "label_smoothing", "averaging", *NAMES_STAGES)
    },
}
"""Settings that Keras' learner has none of, and the values at which they do nothing."""


class Recipe(Record):
    """One system: data, preprocessing, network, training, published figures and source.

    ``own_limits`` are those of its network and how that was trained: no other network on the same
    data has them. Its file calls the others ``limits``. ``published_images`` counts the paper's
    test images where it tells them and prints no confusion matrix.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*(\+[a-z0-9_-]+)?$")
    title: str
    summary: str
    modality: str
    trained_on: str
    own_limits: tuple[str, ...] = ()
    other_limits: tuple[str, ...] = Field((), alias="limits")
    departures: tuple[str, ...] = ()
    classes: tuple[str, ...] = Field(min_length=2)
    malignant_classes: tuple[str, ...]
    source: Source
    published: dict[str, float] = {}
    published_images: Count | None = None
    published_confusion: tuple[tuple[int, ...], ...] | None = None
    data: Data
    preprocessing: Preprocessing
    augmentation: Augmentation = Augmentation()
    architecture: Architecture
    training: Training

    @model_validator(mode="after")
    def _names_known_classes(self) -> Recipe:
        unknown = set(self.malignant_classes) - set(self.classes)
        if unknown:
            known = list(self.classes)
            raise ValueError(f"malignant_classes: {sorted(unknown)} not among {known}")
        return self

    @model_validator(mode="after")
    def _weighs_every_class(self) -> Recipe:
        weights = self.training.class_weights
        if weights and len(weights) != len(self.classes):
            raise ValueError(f"class_weights: {len(weights)} for {len(self.classes)} classes")
        return self

    @model_validator(mode="after")
    def _asks_torch_alone_for_what_it_alone_can(self) -> Recipe:
        asked = {
            name
            for record in (self.training, *self.training.phases)
            for name in TORCH_ALONE.keys() & type(record).model_fields
            if getattr(record, name) != TORCH_ALONE[name]
        }
        if asked and self.architecture.framework != "torch":
            raise ValueError(f"{', '.join(sorted(asked))}: not for networks of Keras; leave it out")
        return self

    @property
    def limits(self) -> tuple[str, ...]:
        """All that limits its answers, in sentences."""
        return self.own_limits + self.other_limits

    def method(self) -> dict:
        """What decides the result of a training; the prose and the published figures do not."""
        decisive = {"classes", "data", "preprocessing", "augmentation", "architecture", "training"}
        method = self.model_dump(mode="json", include=decisive)
        if self.preprocessing.polarity == "any":  # as it was before there was a choice
            del method["preprocessing"]["polarity"]
        return method
