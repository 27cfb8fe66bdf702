"""VGG19 and EfficientNet-B0 side by side, their feature maps concatenated (Zourhri et al.).

Input (N, H, W, 3) in the range 0..255; each branch scales it as it was trained (the paper divides
by 255 for both). The one stage, ``concatenation``, gives (N, H/32, W/32, 512 + 1280), rounded up;
either branch's share of it can be explained alone. The single sigmoid unit z arrives as the two
logits (-z/2, z/2), whose softmax is (1 - sigmoid(z), sigmoid(z)).
"""

from __future__ import annotations

import keras
from keras import layers

from core.architectures.keras_arrays import absorb_statistics, start
from core.architectures.keras_staged import Branch, StagedNetwork

STAGES = {"concatenation": "concatenation"}
BRANCHES = {
    "vgg19": Branch("concatenation", slice(0, 512)),
    "efficientnetb0": Branch("concatenation", slice(512, 1792)),
}

_HALVES = ((-0.5, "head_first"), (0.5, "head_second"))
_CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``dense`` width, ``dropout``. Two classes are told apart
    by one sigmoid unit, as in the paper; more by a softmax."""
    image = keras.Input((*size, 3))
    vgg19 = _vgg19(image, pretrained)
    efficientnet = _efficientnetb0(image, pretrained)
    # Pooling is exact in float32, and the classifier small.
    x = layers.Concatenate(name="concatenation", dtype="float32")([vgg19, efficientnet])
    x = layers.GlobalAveragePooling2D(name="head_pool", dtype="float32")(x)
    x = layers.Dense(parameters.get("dense", 256), activation="relu", name="head_dense")(x)
    x = layers.Dropout(parameters.get("dropout", 0.5), name="head_dropout")(x)
    model = keras.Model(image, _one_unit(x) if classes == 2 else _units(x, classes))
    return StagedNetwork(model, STAGES, pretrained, BRANCHES)


def _units(x, classes: int):
    return layers.Dense(classes, name="head_classes", dtype="float32")(x)


def _one_unit(x):
    """Logits (N, 2) of one sigmoid unit: half of what it says against and for the second class."""
    z = layers.Dense(1, name="head_sigmoid", dtype="float32")(x)
    # Layers, not bare operations, which Keras cannot copy.
    halves = [layers.Rescaling(share, name=name, dtype="float32")(z) for share, name in _HALVES]
    return layers.Concatenate(name="head_logits", dtype="float32")(halves)


def _vgg19(image, pretrained: bool):
    """Features (N, H/32, W/32, 512), rounded up. VGG19 takes BGR; here its first kernel is turned
    to RGB."""
    offset = [-mean for mean in _CAFFE_MEAN_RGB]
    scaled = layers.Rescaling(1.0, offset, name="vgg19_scaling", dtype="float32")(image)
    scaled = _to_whole_cells(scaled)

    def create(weights: str | None) -> keras.Model:
        return keras.applications.VGG19(input_tensor=scaled, include_top=False, weights=weights)

    branch = start(create, "VGG19", "vgg19_block1-block3.npz", pretrained)
    if pretrained:
        first = branch.get_layer("block1_conv1")
        kernel, bias = first.get_weights()
        first.set_weights([kernel[:, :, ::-1], bias])
    return branch.output


def _to_whole_cells(scaled):
    """The image with zeros, the mean colour, at its right and bottom, up to multiples of 32: VGG19
    rounds each halving down and EfficientNet-B0 up, and their grids must agree."""
    lacking = [-side % 32 for side in scaled.shape[1:3]]
    if not any(lacking):
        return scaled
    padding = [(0, pixels) for pixels in lacking]
    return layers.ZeroPadding2D(padding, name="vgg19_padding", dtype="float32")(scaled)


def _efficientnetb0(image, pretrained: bool):
    """Features (N, H/32, W/32, 1280), rounded up.

    The image is standardised before it enters, so that the network's own normalisation, whose
    statistics would be ImageNet's, has nothing left to do.
    """
    scale = [1 / std for std in _IMAGENET_STD]
    offset = [-255 * m / s for m, s in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)]
    scaled = layers.Rescaling(scale, offset, name="efficientnet_scaling", dtype="float32")(image)

    def create(weights: str | None) -> keras.Model:
        branch = keras.applications.EfficientNetB0(
            input_tensor=scaled, include_top=False, weights=None
        )
        if weights:
            _take_over(
                branch, keras.applications.EfficientNetB0(include_top=False, weights=weights)
            )
        return branch

    branch = start(create, "EfficientNet-B0", "efficientnetb0.npz", pretrained)
    if pretrained:
        absorb_statistics(branch)
    return branch.output


def _take_over(branch: keras.Model, pretrained: keras.Model) -> None:
    """Weights of all layers but the normalisation, which Keras' own graph brings along."""
    for layer in branch.layers:
        if layer.weights and not isinstance(layer, layers.Normalization):
            layer.set_weights(pretrained.get_layer(layer.name).get_weights())
