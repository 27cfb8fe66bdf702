"""Comparison networks: the published sizes, the function of the whole network, maps on each."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from networks import network_cases

from core.architectures import backbones, build, torch_sliced
from core.architectures.torch_sliced import NETWORKS, slice_up
from core.architectures.torch_vgg16_inception import CHANNELS, NaiveInception
from core.classifiers import wrap
from core.explain import grad_cam
from core.networks import networks
from core.preprocessing import scale
from core.recipe import Preprocessing, Recipe
from core.recipes import load_recipe
from core.torch_compat import import_timm

# With 1000 classes at 224 x 224, but DINOv2, which has no classifier and images of 518 x 518, and
# whose published 86,580,480 count a mask token of 768 that only its own training used.
# VGG: Simonyan and Zisserman, table 2 (138 M, 144 M), to the digit as timm and Keras count them.
# GoogLeNet: torchvision's table, without the auxiliary heads. SE-ResNet50: 28.1 M (Hu et al.).
PUBLISHED = {
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "googlenet": 6_624_904,
    "resnet50": 25_557_032,
    "densenet121": 7_978_856,
    "seresnet50": 28_088_024,
    "vit": 86_567_656,
    "swin": 28_288_354,
    "dinov2": 86_580_480 - 768,
}
SIDE = 75  # divisible by no network's patch or stride
GRIDS = {
    "vgg16": (512, 4),
    "vgg19": (512, 4),
    "googlenet": (1024, 2),
    "resnet50": (2048, 3),
    "densenet121": (1024, 2),
    "seresnet50": (2048, 3),
    "vit": (768, 4),
    "swin": (768, 3),
    "dinov2": (768, 5),
}


def small(network: str, base: str = "busi-mobilenetv2") -> Recipe:
    """A comparison recipe on small images."""
    recipe = load_recipe(f"{base}+{network}")
    preprocessing = recipe.preprocessing.model_copy(update={"size": (SIDE, SIDE)})
    return recipe.model_copy(update={"preprocessing": preprocessing})


def uninitialised(name: str, size: tuple[int, int]) -> torch.nn.Module:
    """A whole network without memory: random weights of the large ones take seconds."""
    with torch.device("meta"):
        return NETWORKS[name].begin(False, size)


@pytest.fixture(scope="module", params=network_cases(sorted(NETWORKS)))
def whole(request: pytest.FixtureRequest):
    """A network's name, and the network as its library makes it."""
    name = request.param
    module = NETWORKS[name].begin(False, (SIDE, SIDE)).eval()
    yield name, module
    del module
    gc.collect()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_it_has_the_published_number_of_parameters(name: str):
    side, classes = (518, None) if name == "dinov2" else (224, 1000)
    network = slice_up(uninitialised(name, (side, side)), NETWORKS[name], classes or 1, {})
    found = sum(parameter.numel() for parameter in network.parameters())
    classifier = 0 if classes else NETWORKS[name].width + 1
    assert found - classifier == PUBLISHED[name]


def test_resnet50_has_the_backbone_of_dalaresnet50():
    """23,508,032, and no attention beside it."""
    stages = slice_up(uninitialised("resnet50", (64, 64)), NETWORKS["resnet50"], 2, {}).stages
    assert sum(parameter.numel() for parameter in stages.parameters()) == 23_508_032
    assert "attention" not in stages


def test_the_stages_compute_what_the_whole_network_does(whole):
    """Up to the classifier, against the library's own forward pass."""
    name, module = whole
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, SIDE, SIDE))).float()
    with torch.inference_mode():
        expected = _without_classifier(module)(images)
        network = slice_up(module, NETWORKS[name], 2, {}).eval()
        features = network.forward_to(images, network.stage_names[-1])
        pooled = network.head[0](features)
    channels, side = GRIDS[name]
    assert features.shape == (2, channels, side, side)
    assert pooled.shape == (2, NETWORKS[name].width)
    assert expected.std() > 1e-6
    torch.testing.assert_close(pooled, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def _without_classifier(module: torch.nn.Module) -> torch.nn.Module:
    if hasattr(module, "transform_input"):  # torchvision's GoogLeNet
        module.transform_input, module.fc = False, torch.nn.Identity()
    return module


def test_every_stage_gives_a_map_and_cuts_the_network_in_two(whole):
    name, module = whole
    recipe = small(name)
    classifier = wrap(recipe, slice_up(module, NETWORKS[name], len(recipe.classes), {}))
    batch = np.random.default_rng(1).normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)
    logits = classifier.logits(batch)
    assert logits.shape == (1, 3)
    for layer in classifier.layers:
        features = classifier.features(batch, layer)
        rejoined, gradient = classifier.head(features, 1, layer)
        np.testing.assert_allclose(rejoined, logits, rtol=1e-3, atol=1e-4, err_msg=layer)
        assert gradient.shape == features.shape
        assert np.abs(gradient).max() > 0, layer
    (heatmap,) = grad_cam(classifier, batch, 1).heatmaps
    channels, side = GRIDS[name]
    assert heatmap.values.shape == (side, side)
    assert np.isfinite(heatmap.values).all()


# --- VGG16-Inception ---------------------------------------------------------------------------


def test_vgg16_inception_has_the_parameters_that_its_definition_gives():
    with torch.device("meta"):
        network = build(small("vgg16-inception"))
    blocks = 7_635_264  # VGG16 without top, 14,714,688, less the three convolutions of block 5
    inception = 512 * (64 * 1 + 128 * 9 + 32 * 25) + 64 + 128 + 32
    head = 736 * 4 * 4 * 3 + 3
    found = sum(parameter.numel() for parameter in network.parameters())
    assert found == blocks + inception + 2 * 736 + head
    assert network.stage_names == ("block1", "block2", "block3", "block4", "inception")


def test_naive_inception_puts_its_branches_side_by_side():
    """A lone 1 spreads as far as each filter reaches, and the pooling passes it on as it is."""
    module = NaiveInception()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(1.0 if parameter.ndim == 4 else 0.0)
        features = torch.zeros(1, 512, 7, 7)
        features[0, 5, 3, 3] = 1
        found = module(features)[0]
    assert found.shape == (CHANNELS, 7, 7)
    reach = [int(found[channel].sum()) for channel in (0, 63, 64, 191, 192, 223)]
    assert reach == [1, 1, 9, 9, 25, 25]
    pooled = found[224:]
    assert pooled.sum() == 9
    assert pooled[5, 2:5, 2:5].sum() == 9


def test_vgg16_inception_gives_a_map():
    recipe = small("vgg16-inception")
    classifier = wrap(recipe, build(recipe))
    batch = np.random.default_rng(1).normal(size=(1, SIDE, SIDE, 3)).astype(np.float32)
    features = classifier.features(batch)
    assert features.shape == (1, 4, 4, CHANNELS)
    np.testing.assert_allclose(classifier.head(features, 0)[0], classifier.logits(batch), atol=1e-4)
    assert grad_cam(classifier, batch, 0).heatmaps[0].values.shape == (4, 4)


# --- Starting weights and the pixels they were made for ----------------------------------------

TIMM = {
    "vgg16": "vgg16.tv_in1k",
    "vgg16-inception": "vgg16.tv_in1k",
    "vgg19": "vgg19.tv_in1k",
    "densenet121": "densenet121.tv_in1k",
    "seresnet50": "seresnet50.ra2_in1k",
    "vit": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "swin": "swin_tiny_patch4_window7_224.ms_in1k",
    "dinov2": "vit_base_patch14_dinov2.lvd142m",
    "efficientnet_b0": "tf_efficientnet_b0.in1k",
}


@pytest.mark.parametrize("name", TIMM)
def test_pixels_come_in_the_range_the_weights_were_made_for(name: str):
    config = import_timm().get_pretrained_cfg(TIMM[name])
    pixels = np.random.default_rng(0).integers(0, 256, (1, 2, 2, 3))
    expected = (pixels / 255 - config.mean) / config.std
    preprocessing = Preprocessing(size=(2, 2), value_range=networks()[name].value_range)
    np.testing.assert_allclose(scale(pixels, preprocessing), expected, atol=1e-5)


def asked_of_timm(name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The models that a pretrained start asks timm for, which is as if offline."""
    asked = []

    def create_model(model: str, pretrained: bool, **settings):
        asked.append(model)
        if pretrained:
            raise OSError("no such host")
        return original(model, pretrained=False, **settings)

    timm = import_timm()
    original = timm.create_model
    monkeypatch.setattr(timm, "create_model", create_model)
    told = f"No ImageNet weights of .* {backbones.WEIGHTS_SETTING}"
    with torch.device("meta"), pytest.raises(backbones.WeightsError, match=told):
        build(small(name), pretrained=True)
    return asked


@pytest.mark.parametrize("name", [name for name in TIMM if name != "efficientnet_b0"])
def test_the_hub_is_asked_for_weights_that_exist_and_their_lack_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(backbones.WEIGHTS_SETTING, raising=False)
    (asked,) = asked_of_timm(name, monkeypatch)
    assert asked == TIMM[name]
    assert asked in import_timm().list_pretrained()


def test_googlenet_without_a_connection_says_so(monkeypatch: pytest.MonkeyPatch):
    import_timm()
    from torchvision.models import _api

    def refuse(*_arguments, **_settings):
        raise OSError("no such host")

    monkeypatch.setattr(_api, "load_state_dict_from_url", refuse)
    with torch.device("meta"), pytest.raises(backbones.WeightsError, match="of googlenet"):
        build(small("googlenet"), pretrained=True)


def test_vgg19_takes_the_arrays_as_caffe_preprocessing_would(weights_folder):
    """Through the converted arrays, ImageNet range in, as through the arrays BGR minus mean."""
    arrays = backbones.find_arrays("vgg19_block1-block3.npz")
    if arrays is None:
        pytest.skip("no arrays of VGG19 here")
    network = torch.nn.Module()
    network.features = uninitialised("vgg19", (64, 64)).features.to_empty(device="cpu")
    torch_sliced.load_vgg19(network, arrays)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3))
    preprocessing = Preprocessing(size=(32, 32), value_range="imagenet")
    caffe = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
    with torch.inference_mode():
        found = network.features[:4](_channels_first(scale(pixels, preprocessing)))
        expected = _channels_first(caffe)
        for name in ("block1_conv1", "block1_conv2"):
            kernel = torch.from_numpy(arrays[f"{name}/kernel"].transpose(3, 2, 0, 1).copy())
            bias = torch.from_numpy(arrays[f"{name}/bias"])
            convolve = torch.nn.functional.conv2d
            expected = convolve(expected, kernel, bias, padding=1).relu()
    inside = (..., slice(2, -2), slice(2, -2))  # the zeros of the padding mean another colour
    scale_of = expected[inside].abs().max()
    assert (found[inside] - expected[inside]).abs().max() / scale_of < 1e-4
    last = arrays["block3_conv4/kernel"].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(network.features[16].weight.detach().numpy(), last)


def _channels_first(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images, np.float32)).permute(0, 3, 1, 2)
