"""DALAResNet50: the paper's parameter counts, its attention by hand, its ImageNet start."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.architectures import backbones
from core.architectures import torch_dalaresnet50 as dala

SMALL = (64, 64)


@pytest.mark.parametrize(
    ("classes", "reduction", "parameters"),
    [(2, 4, 25_611_842), (4, 16, 24_042_692), (3, 16, 24_040_643)],
)
def test_it_has_as_many_parameters_as_the_paper_prints(classes, reduction, parameters):
    network = dala.build(classes, SMALL, {"reduction": reduction}, pretrained=False)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_the_attention_by_hand():
    """Two channels with means 1 and -2; the one hidden unit is 1*1 + 1*(-2) = -1, leaking -0.01."""
    attention = dala.DualActivatedAttention(channels=2, reduction=2)
    down, up = attention.weigh[2], attention.weigh[4]
    with torch.no_grad():
        down.weight.copy_(torch.tensor([[1.0, 1.0]]))
        down.bias.zero_()
        up.weight.copy_(torch.tensor([[-300.0], [300.0]]))
        up.bias.copy_(torch.tensor([0.5, 0.5]))
    features = torch.tensor([[[[0.0, 2.0]], [[-3.0, -1.0]]]])
    # -300 * -0.01 + 0.5 = 3.5 for the first channel; 300 * -0.01 + 0.5 < 0 closes the second.
    expected = torch.tensor([[[[0.0, 7.0]], [[0.0, 0.0]]]])
    assert torch.allclose(attention(features), expected, atol=1e-5)


def test_the_arrays_give_the_features_of_caffe_preprocessing(weights_folder):
    """Signed RGB through the folded weights equals BGR minus the mean through the arrays."""
    arrays = backbones.find_arrays(dala.ARRAYS)
    kernel, bias = arrays["conv1_conv/kernel"], arrays["conv1_conv/bias"]
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.float32)
    caffe = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    as_torch = lambda image: torch.from_numpy(image.copy()).permute(2, 0, 1)[None]  # noqa: E731
    plain = torch.nn.functional.conv2d(
        as_torch(caffe),
        torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()),
        torch.from_numpy(bias),
        stride=2,
        padding=3,
    )
    mean, variance, gamma, beta = (
        torch.from_numpy(arrays[f"conv1_bn/{name}"])[None, :, None, None]
        for name in ("moving_mean", "moving_variance", "gamma", "beta")
    )
    expected = torch.relu((plain - mean) / torch.sqrt(variance + 1e-5) * gamma + beta)

    network = dala.build(2, SMALL, {}, pretrained=True).eval()
    stem = network.stages["stem"]
    with torch.inference_mode():
        found = stem[2](stem[1](stem[0](as_torch(pixels / 127.5 - 1))))
    inside = (..., slice(2, -2), slice(2, -2))  # the zeros of the padding mean another colour
    scale = expected[inside].abs().max()
    assert (found[inside] - expected[inside]).abs().max() / scale < 1e-4
