"""Lessons: every step worked out by hand or by another library, the last one the method's map."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    HAND_FEATURES,
    HAND_IMAGE,
    HAND_LOGITS,
    TINY_CLASSES,
    noise_batch,
    random_tiny_arrays,
    recipe_cases,
    shipped_classifier,
    tiny_classifier,
)
from sklearn.decomposition import PCA
from test_faithfulness import LOOKS_AT_QUADRANT, QUADRANT, WHITE, Linear, sigmoid

from core.classifiers.base import Classifier, Target, probabilities
from core.datasets.phantoms import phantom
from core.explain import METHODS, Heatmap
from core.explain.heatmap import NO_EVIDENCE
from core.figures.lessons import bars_figure, describe_bars, describe_trial, trial_figure
from core.lessons import LESSONS, Bars, Scene, trial
from core.lessons.drawing import AGAINST, FOR, evidence, signed, through
from core.lessons.eigen_cam import components
from core.lessons.grad_cam import contributions, without_features
from core.lessons.score_cam import masked_scores
from core.lessons.step import nothing
from core.lessons.trial import OUTSIDE, box_of
from core.picture_size import shrunk, square
from core.preprocessing import scale, to_batch, to_pixels
from core.recipe import Preprocessing
from core.recipes import load_recipe
from core.scan_types import MAX_PIXELS

SYSTEMS = ("busi-efficientnet-b0", "us9016-vgg19-efficientnetb0")
"""One a framework; the second has a layer that two branches share."""


def scene_of(classifier: Classifier, batch: np.ndarray, target: Target, **more) -> Scene:
    features = classifier.features(batch, more.get("layer"))
    grey = np.full((48, 40, 3), 90, np.uint8)
    return Scene(classifier, grey, batch, features, "it", target, **more)


def by_hand(target: Target) -> Scene:
    return scene_of(tiny_classifier("torch"), HAND_IMAGE, target)


@pytest.fixture(params=recipe_cases(map(load_recipe, SYSTEMS)))
def system(request) -> Classifier:
    return shipped_classifier(request.param.id)


@pytest.mark.parametrize("method_id", LESSONS)
def test_a_lesson_ends_in_the_map_of_its_method(system, method_id):
    batch = noise_batch(system.recipe)
    likeliest = int(system.logits(batch)[0].argmax())
    for layer in (None, system.layers[0]):
        scene = scene_of(system, batch, likeliest, layer=layer)
        (last,) = LESSONS[method_id](scene)[-1].pictures
        map_ = METHODS[method_id].run(system, batch, likeliest, layer=layer).heatmaps[0]
        assert layer or map_.note is None
        assert np.array_equal(last.pixels, evidence(scene.pixels, map_.values))


@pytest.mark.parametrize("method_id", LESSONS)
def test_a_map_without_evidence_is_told_in_the_last_step(method_id):
    """In an all black scan each place is like every other, and nothing speaks for class 0."""
    black = np.zeros((1, 8, 8, 3), np.float32)
    last = LESSONS[method_id](scene_of(tiny_classifier("torch"), black, 0))[-1]
    heatmap = METHODS[method_id].run(tiny_classifier("torch"), black, 0).heatmaps[0]
    assert heatmap.note
    assert last.text == heatmap.note


def test_parameters_reach_the_method_and_the_words():
    scene = scene_of(
        shipped_classifier(SYSTEMS[0]),
        noise_batch(shipped_classifier(SYSTEMS[0]).recipe),
        0,
        parameters={"n": 5, "sigma": 0.1, "kernel": 3},
    )
    told = " ".join(step.text for step in LESSONS["dt-grad-cam"](scene))
    assert "5 copies" in told
    assert "10.0 %" in told
    assert "3 pixels" in told


class TestGradCam:
    def test_contributions_by_hand(self):
        """Logit 0 is mean B0 + 1/2: channel 0 brings 7/4, channel 1 nothing. Logit 2 is
        mean B0 - 2 mean B1 - 1: they bring 7/4 and -6, and 7/4 - 6 - 1 is the logit."""
        parts, order = contributions(by_hand(0))
        np.testing.assert_allclose(parts[..., 0], HAND_FEATURES["second"][0, ..., 0] / 4)
        assert not parts[..., 1].any()
        parts, order = contributions(by_hand(2))
        assert order.tolist() == [1, 0]
        np.testing.assert_allclose(parts.sum(axis=(0, 1)), [1.75, -6], rtol=1e-6)
        assert parts.sum() - 1 == pytest.approx(HAND_LOGITS[0, 2], rel=1e-6)

    def test_words_by_hand(self):
        _, weights, summed, positive, last = LESSONS["grad-cam"](by_hand(2))
        assert "-4.25; of them 1 speak for *it* and 1 against" in weights.text
        assert weights.bars.places == ("1", "0")
        np.testing.assert_allclose(weights.bars.heights, [-6, 1.75], rtol=1e-6)
        assert [one.title for one in summed.pictures] == ["1", "2"]
        # B0 / 4 - B1 / 2 is [[0 - 4, .25 - 1], [.5 - 1, 1 - 0]]: 1 of 6.25 speaks for it.
        assert "84 % of the evidence" in positive.text
        assert "adds 1 to the score" in last.text
        assert "first order" not in weights.text

    @pytest.mark.parametrize(
        ("target", "enough", "likeness"),
        [
            ([0, 0, 1], "the strongest 1 already make a map that correlates at least 0.99", "0.99"),
            ([2, 1, 0], "even the strongest 1 make a map that correlates less than 0.99", "0.25"),
        ],
    )
    def test_how_many_channels_are_enough_by_hand(self, target, enough, likeness):
        """The whole is B0 / 4 - B1 / 2 or B0 / 2 + B1 / 4, with B0 = [[0, 1], [2, 4]] and
        B1 = [[8, 2], [2, 0]]: -B1 / 2 correlates 10.875 / (3 * 3.6465) with it, B0 / 2
        0.3125 / (1.479 * 0.829)."""
        summed = LESSONS["grad-cam"](by_hand(np.float32(target)))[2]
        assert f"of 2 channels {enough}" in summed.text
        assert [one.caption for one in summed.pictures] == [
            f"correlation with the sum of all: {likeness}",
            "correlation with the sum of all: 1.00",
        ]

    def test_where_the_network_goes_on_the_channels_do_not_add_up(self):
        """What the score falls by without features, worked out with the head; before the last
        layer it is not the sum of what the channels bring, and the lesson says so."""
        system = shipped_classifier(SYSTEMS[0])
        layer = system.layers[-3]
        pixels, _ = phantom("malignant", 11)
        scene = scene_of(system, to_batch([pixels], system.recipe.preprocessing), 0, layer=layer)
        (whole,), _ = system.head(scene.features, 0, layer)
        (nothing,), _ = system.head(np.zeros_like(scene.features), 0, layer)
        fall = whole[0] - nothing[0]
        assert without_features(scene) == pytest.approx(fall, abs=1e-3)
        _, weights, *_, last = LESSONS["grad-cam"](scene)
        assert f"would fall by {fall:.2f}" in weights.text
        assert "adds" not in last.text

    @pytest.mark.parametrize("branch", ["vgg19", "efficientnetb0"])
    def test_of_a_branch_its_own_channels_alone_are_taken_away(self, branch):
        system = shipped_classifier("us9016-vgg19-efficientnetb0")
        pixels, _ = phantom("malignant", 11)
        batch = to_batch([pixels], system.recipe.preprocessing)
        scene = scene_of(system, batch, 1, layer=branch)
        features = scene.features.copy()
        features[..., system.channels(branch)] = 0
        assert 0 < np.count_nonzero(features) < np.count_nonzero(scene.features)
        (whole,), _ = system.head(scene.features, 1, branch)
        (rest,), _ = system.head(features, 1, branch)
        assert without_features(scene) == pytest.approx(whole[1] - rest[1], abs=1e-4)

    def test_the_sum_of_all_channels_is_the_signed_map(self, system):
        scene = scene_of(system, noise_batch(system.recipe), 0)
        parts, _ = contributions(scene)
        up, down = (
            METHODS["grad-cam"].run(
                system, scene.batch, sign * np.eye(len(system.recipe.classes))[0]
            )
            for sign in (1, -1)
        )
        up, down = (
            np.float64(one.heatmaps[0].values) * max(one.heatmaps[0].maximum, 0)
            for one in (up, down)
        )
        whole = parts.sum(axis=-1)
        np.testing.assert_allclose(whole, up - down, atol=1e-5 * np.abs(whole).max())


class TestEigenCam:
    def test_components_are_those_of_the_library(self):
        maps = np.random.default_rng(0).normal(size=(5, 4, 9)) * np.arange(1, 10)
        shares, places = components(maps)
        library = PCA().fit(maps.reshape(-1, 9))
        np.testing.assert_allclose(shares, library.explained_variance_ratio_)
        found = library.transform(maps.reshape(-1, 9))
        np.testing.assert_allclose(np.abs(places.reshape(-1, 9)), np.abs(found), atol=1e-9)

    def test_shares_are_of_the_whole(self, system):
        shares, _ = components(scene_of(system, noise_batch(system.recipe), 0).maps)
        assert shares.sum() == pytest.approx(1)
        assert (np.diff(shares) <= 1e-12).all()

    def test_captions_by_hand(self):
        """B0 = [[0, 1], [2, 4]] and B1 = [[8, 2], [2, 0]] scatter by [[8.75, -15], [-15, 36]] about
        their means. Its eigenvalues are (44.75 +- 40.53) / 2, of 44.75 in all."""
        _, places, maps, _ = LESSONS["eigen-cam"](by_hand(0))
        assert "The first holds 95 % of all difference" in places.text
        np.testing.assert_allclose(places.bars.heights, [95.28, 4.72], atol=0.01)
        told = ["95 % of the variance", "5 % of the variance"]
        assert [one.caption for one in maps.pictures] == told

    def test_an_even_layer_has_no_component(self):
        shares, places = components(np.ones((3, 3, 4)))
        assert not shares.any()
        assert not places[..., 0].any()


class TestScoreCam:
    @pytest.mark.parametrize("framework", FRAMEWORKS)
    def test_scores_are_the_logits_of_the_masked_scan(self, framework):
        """Enlarging changes nothing here: layer and scan have the same size."""
        classifier = tiny_classifier(framework, random_tiny_arrays(1))
        batch = np.random.default_rng(0).normal(size=(1, 6, 6, 3)).astype(np.float32)
        scene = scene_of(classifier, batch, 2)
        masks, mask_of, scores = masked_scores(scene)
        assert len(mask_of) == scene.maps.shape[-1]
        for mask, score in zip(masks, scores, strict=True):
            expected = classifier.logits(batch * mask[..., None])[0, 2]
            assert score == pytest.approx(float(expected), abs=0.02)  # bfloat16 where it is fast

    def test_how_even_the_weights_are(self, system):
        """Perplexity of equal weights is their number; it is at most the number of channels."""
        scene = scene_of(system, noise_batch(system.recipe), 0)
        _, mask_of, scores = masked_scores(scene)
        share = probabilities(scores[mask_of])
        perplexity = np.exp(-(share * np.log(share)).sum())
        told = LESSONS["fast-score-cam"](scene)[2].text
        assert f"these {len(mask_of):,} weights count like {perplexity:,.0f} equal ones" in told
        assert perplexity <= len(mask_of)

    def test_captions_tell_how_many_channels_and_which_score(self):
        """Where each channel keeps its own mask, each stands for itself alone."""
        scene = by_hand(2)
        masks, scored, *_ = LESSONS["fast-score-cam"](scene)
        assert [one.caption for one in masks.pictures] == ["stands for 1 channel"] * 2
        _, _, scores = masked_scores(scene)
        assert [one.caption for one in scored.pictures] == [f"score {one:+.2f}" for one in scores]
        assert f"The whole scan scores {HAND_LOGITS[0, 2]:+.2f}." in scored.text

    def test_typical_masks_stand_for_all_channels(self, system):
        parameters = {"channels": 4}  # as many as the lesson shows, or fewer
        scene = scene_of(system, noise_batch(system.recipe), 0, parameters=parameters)
        masks = LESSONS["fast-score-cam"](scene)[0]
        numbers = [one.caption.split()[2].replace(",", "") for one in masks.pictures]
        assert sum(map(int, numbers)) == scene.maps.shape[-1]


class TestDtGradCam:
    def test_captions_of_weights_and_spread(self, system):
        """Three copies weigh 1, 3/4 and 1/2."""
        parameters = {"n": 3, "sigma": 0.05}
        scene = scene_of(system, noise_batch(system.recipe), 0, parameters=parameters)
        noise, mean, *_ = LESSONS["dt-grad-cam"](scene)
        told = ["weight 1.00", "weight 0.75", "weight 0.50"]
        assert [one.caption for one in noise.pictures] == told
        maps = METHODS["dt-grad-cam"].run(system, scene.batch, 0, **parameters).steps["noisy"][0]
        weighted = (maps * np.array([1, 0.75, 0.5])[:, None, None]).sum(axis=0) / 2.25
        share = 100 * maps.std(axis=0).max() / weighted.max()
        assert mean.pictures[1].caption == f"at most {share:.0f} % of the mean's largest value"

    def test_the_region_and_the_threshold_are_the_methods(self, system):
        scene = scene_of(system, noise_batch(system.recipe), 0)
        steps = METHODS["dt-grad-cam"].run(system, scene.batch, 0).steps
        _, _, threshold, region, _ = LESSONS["dt-grad-cam"](scene)
        assert threshold.bars.at == pytest.approx(float(steps["threshold"][0]))
        assert threshold.bars.heights.sum() + steps["histogram"][0][0] == steps["mean"][0].size
        assert region.pictures[1].caption == f"{100 * steps['mask'][0].mean():.0f} % of the scan"


def outlined(classifier: Classifier) -> Classifier:
    """The same, but shown outlined lesions alone."""
    preprocessing = classifier.recipe.preprocessing.model_copy(update={"region": "mask"})
    other = copy(classifier)
    other.recipe = classifier.recipe.model_copy(update={"preprocessing": preprocessing})
    return other


MIDDLE = np.zeros((8, 8))
MIDDLE[3:5, 3:5] = 1
LOOKS_AT_MIDDLE = Linear(MIDDLE * 4 / MIDDLE.sum())


class TestTrial:
    PIXELS = np.full((16, 16, 3), 200, np.uint8)

    def test_a_classifier_of_one_quadrant_by_hand(self):
        """It needs the upper right quarter alone. A map of it, hidden by an eighth of the scan at a
        time, takes logit 4 to 2 and 0; the three mirrored maps take nothing until the last quarter
        of the scan, whose places are drawn by lot."""
        found = trial(
            LOOKS_AT_QUADRANT, self.PIXELS, WHITE[None], Heatmap(np.float32(QUADRANT), 1), 0
        )
        np.testing.assert_allclose(found.marked, sigmoid([4, 2, *[0] * 7]), atol=1e-6)
        np.testing.assert_allclose(found.mirrored[:3], sigmoid(4), atol=1e-6)
        assert found.mirrored[-1] == pytest.approx(0.5)
        assert found.sentence.startswith("It holds")

    def test_the_wrong_map_does_not_hold(self):
        wrong = Heatmap(np.float32(QUADRANT[::-1]), 1)
        found = trial(LOOKS_AT_QUADRANT, self.PIXELS, WHITE[None], wrong, 0)
        assert found.sentence.startswith("It does not hold")

    def test_a_map_that_is_its_own_mirror_image_proves_nothing(self):
        cross = np.zeros((8, 8), np.float32)
        cross[3:5], cross[:, 3:5] = 1, 1
        found = trial(LOOKS_AT_QUADRANT, self.PIXELS, WHITE[None], Heatmap(cross, 1), 0)
        assert found.alike == 1
        assert found.sentence.startswith(
            "This trial cannot tell: the map lies so much in the middle of what the system sees"
        )

    def test_a_map_beside_what_counts_and_none_of_whose_mirror_images_is_there_makes_none(self):
        """The network looks at the middle alone, and the map marks a corner."""
        corner = np.zeros((8, 8), np.float32)
        corner[:2, :2] = 1
        found = trial(LOOKS_AT_MIDDLE, self.PIXELS, WHITE[None], Heatmap(corner, 1), 0)
        assert found.alike == 0
        assert found.sentence.startswith("It makes no clear difference")

    def test_the_right_map_of_the_middle_is_not_told_to_be_as_good_as_another_place(self):
        middle = np.zeros((8, 8), np.float32)
        middle[3:5, 3:5] = 1
        found = trial(LOOKS_AT_MIDDLE, self.PIXELS, WHITE[None], Heatmap(middle, 1), 0)
        assert found.sentence.startswith("This trial cannot tell")

    def test_a_class_that_gains_wherever_the_scan_is_hidden_proves_no_map(self):
        """Class 1 has logit 0 beside class 0, which falls where the quadrant is hidden: the map of
        the quadrant's mirror image lets it gain later than hiding elsewhere does."""
        wrong = Heatmap(np.float32(QUADRANT[:, ::-1]), 1)
        found = trial(LOOKS_AT_QUADRANT, self.PIXELS, WHITE[None], wrong, 1)
        assert (found.marked >= found.marked[0]).all()
        assert np.trapezoid(found.mirrored - found.marked, found.hidden) > 0.05
        assert found.sentence.startswith("This trial cannot tell: the class becomes likelier")

    def test_of_an_outlined_lesion_only_its_box_is_hidden(self):
        """All but the upper half is black. There the map of the upper right quarter takes logit 4
        down to 0 in four of eight steps; so does its mirror image top to bottom, whose order among
        equals is drawn by lot, and the two others take nothing in those."""
        network = outlined(LOOKS_AT_QUADRANT)
        image, pixels = WHITE.copy(), self.PIXELS.copy()
        image[4:], pixels[8:] = 0, 0
        found = trial(network, pixels, image[None], Heatmap(np.float32(QUADRANT), 1), 0)
        np.testing.assert_allclose(found.marked, sigmoid([4, 3, 2, 1, *[0] * 5]), atol=1e-6)
        rest = sigmoid(4) * 2 + sigmoid([4, 3, 2, 1, 0])
        np.testing.assert_allclose(found.mirrored[:5], rest / 3, atol=1e-6)
        hidden = (found.pictures[1].pixels[:8] != 200).all(axis=-1)
        assert hidden.mean() == 1 / 4 and hidden[:, 8:].mean() == 1 / 2

    def test_evidence_outside_of_what_the_system_sees_is_none(self):
        image, below = WHITE.copy(), np.zeros((8, 8), np.float32)
        image[4:], below[6:] = 0, 1
        network = outlined(LOOKS_AT_QUADRANT)
        assert trial(network, self.PIXELS, image[None], Heatmap(below, 1), 0) == OUTSIDE

    def test_the_box_around_what_is_seen(self):
        image = np.zeros((5, 6, 3))
        assert image[box_of(image)].shape == image.shape
        image[1, 2, 0] = image[3, 4, 2] = 1
        assert image[box_of(image)].shape == (3, 3, 3)

    def test_pictures_show_what_is_hidden(self):
        found = trial(
            LOOKS_AT_QUADRANT, self.PIXELS, WHITE[None], Heatmap(np.float32(QUADRANT), 1), 0
        )
        hidden = [(one.pixels != 200).all(axis=-1) for one in found.pictures]
        assert [one.mean() for one in hidden] == [1 / 8, 1 / 4, 1 / 2]
        quarter = np.zeros((16, 16), bool)
        quarter[:8, 8:] = True
        assert np.array_equal(hidden[1], quarter)
        assert (found.pictures[0].pixels[hidden[0]] == nothing(LOOKS_AT_QUADRANT)).all()

    def test_without_evidence_there_is_none(self):
        empty = Heatmap(np.zeros((4, 4), np.float32), -1, NO_EVIDENCE)
        found = trial(LOOKS_AT_QUADRANT, self.PIXELS, WHITE[None], empty, 0)
        assert found == "There is no evidence in this map, so there is nothing to try."


class TestDrawing:
    GREY = np.full((6, 8, 3), 100, np.uint8)

    def test_signed_maps_are_orange_for_and_blue_against(self):
        values = np.zeros((6, 8))
        values[0, 0], values[5, 7] = 2, -2
        drawn = signed(self.GREY, values, 2)
        np.testing.assert_array_equal(drawn[0, 0], np.rint(25 + 0.75 * np.array(FOR)))
        np.testing.assert_array_equal(drawn[5, 7], np.rint(25 + 0.75 * np.array(AGAINST)))
        assert (drawn[2:4, 3:5] == 100).all()

    def test_an_empty_signed_map_leaves_the_scan(self):
        assert np.array_equal(signed(self.GREY, np.zeros((2, 2)), 0), self.GREY)

    def test_masks_mix_the_scan_with_nothing(self):
        mask = np.full((6, 8), 0.25)
        drawn = through(self.GREY, mask, np.array([20, 40, 60], np.uint8))
        np.testing.assert_array_equal(drawn[0, 0], [40, 55, 70])

    def test_scans_are_only_made_smaller(self):
        assert shrunk(self.GREY, 4).shape == (3, 4, 3)
        assert np.array_equal(shrunk(self.GREY, 400), self.GREY)

    def test_pixels_become_square_without_losing_rows_or_columns(self):
        assert square(self.GREY, 2).shape == (12, 8, 3)
        assert square(self.GREY, 0.5).shape == (6, 16, 3)
        assert square(self.GREY, 1) is self.GREY
        wide = np.zeros((10, MAX_PIXELS // 20, 3), np.uint8)
        assert square(wide, 8).shape == (10, MAX_PIXELS // 160, 3)


@pytest.mark.parametrize("value_range", ["byte", "unit", "signed", "imagenet"])
def test_pixels_come_back_from_every_value_range(value_range):
    prep = Preprocessing(size=(4, 4), value_range=value_range)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    assert np.array_equal(to_pixels(scale(pixels, prep), prep), pixels)
    assert to_pixels(np.full((1, 1, 1, 3), 1e6, np.float32), prep).max() == 255


class TestFigures:
    def test_bars_are_coloured_by_their_sign(self):
        bars = Bars(("7", "9"), np.array([0.5, -0.25]), "channel", "brings")
        (drawn,) = bars_figure(bars).data
        assert list(drawn.marker.color) == [f"rgb{FOR}", f"rgb{AGAINST}"]
        assert describe_bars(bars).endswith("largest 0.5 at 7, smallest -0.25 at 9.")

    def test_a_threshold_is_a_line(self):
        bars = Bars(np.array([0.1, 0.2]), np.array([3.0, 4.0]), "value", "pixels", 0.15, "here")
        (line,) = bars_figure(bars).layout.shapes
        assert line.x0 == line.x1 == 0.15
        assert "here at 0.15" in describe_bars(bars)

    def test_curves_are_in_percent(self):
        found = trial(
            LOOKS_AT_QUADRANT, TestTrial.PIXELS, WHITE[None], Heatmap(np.float32(QUADRANT), 1), 0
        )
        by_map, mirrored = trial_figure(found, TINY_CLASSES[0]).data
        np.testing.assert_allclose(by_map.y, 100 * found.marked)
        np.testing.assert_allclose(mirrored.y, 100 * found.mirrored)
        assert by_map.x[-1] == 100
        assert "98 % at first" in describe_trial(found, "one")
