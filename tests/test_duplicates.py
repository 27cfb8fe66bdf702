"""Near-duplicates on images whose kinship is known, and on BUSI."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from core.datasets.base import read_frames
from core.datasets.duplicates import COPY, FRAME, MIRRORED, find_pairs, groups


def scan(seed: int, height: int = 260, width: int = 320) -> np.ndarray:
    """Speckle and a dark ellipse somewhere, under layers and a gain curve that all scans share."""
    random = np.random.default_rng(seed)
    depth = np.linspace(0, 1, height)[:, None]
    common = 1.2 - 0.9 * depth + 0.1 * np.cos(25 * depth)
    y, x = np.mgrid[:height, :width]
    centre = random.uniform(0.3, 0.7, 2) * (width, height)
    lesion = ((x - centre[0]) / 50) ** 2 + ((y - centre[1]) / 30) ** 2 < 1
    structure = sum(
        cv2.GaussianBlur(random.normal(size=(height, width)), (0, 0), blur) * blur
        for blur in (2, 5, 12)
    )
    grey = 110 * common * np.exp(0.5 * structure) * np.where(lesion, 0.4, 1)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def recompressed(image):
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)


def annotated(image):
    image = image.copy()
    cv2.putText(image, "RT UOQ", (20, 230), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1)
    cv2.line(image, (100, 130), (220, 125), (255, 255, 255), 1)
    cv2.line(image, (160, 85), (162, 175), (255, 255, 255), 1)
    return image


def cropped(image, top=0.0, bottom=0.0, left=0.0, right=0.0):
    height, width = image.shape[:2]
    rows = slice(round(top * height), height - round(bottom * height))
    return image[rows, round(left * width) : width - round(right * width)]


def brighter(image):
    return cv2.convertScaleAbs(image, alpha=0.8, beta=40)


KINSHIP = {
    "exact": (lambda image: image.copy(), COPY),
    "brighter": (brighter, COPY),
    "gamma": (lambda image: (255 * (image / 255) ** 0.7).astype(np.uint8), COPY),
    "recompressed": (recompressed, COPY),
    "smaller": (lambda image: cv2.resize(image, None, fx=0.6, fy=0.6), COPY),
    "cropped by 3 %": (lambda image: cropped(image, 0.03, 0.03, 0.03, 0.03), COPY),
    "cropped at one side": (lambda image: cropped(image, left=0.25), COPY),
    "annotated": (annotated, COPY),
    "mirrored": (lambda image: image[:, ::-1], MIRRORED),
    "mirrored, cropped, recompressed": (
        lambda image: recompressed(cropped(image[:, ::-1].copy(), 0.03, 0.02, 0.01, 0.03)),
        MIRRORED,
    ),
}


@pytest.mark.parametrize("change", KINSHIP)
def test_a_changed_copy_is_paired_with_its_source_and_nothing_else(change):
    alter, kind = KINSHIP[change]
    images = {"a": scan(1), "b": scan(2), "c": alter(scan(1)), "d": scan(3)}
    pairs = find_pairs(list(images), images.values())
    assert pairs[["a", "b", "kind"]].values.tolist() == [["a", "c", kind]]
    assert 0.9 <= pairs["similarity"].item() <= 1 + 1e-6


def test_unlike_speckle_is_not_paired_although_plain_correlation_calls_it_alike():
    images = [scan(seed) for seed in range(40)]
    small = [cv2.resize(image[..., 0], (32, 32)).ravel() for image in images]
    plain = np.corrcoef(small)[np.triu_indices(40, 1)]
    assert np.median(plain) > 0.6  # the trap is real: layers and gain are common to all
    assert find_pairs(list(map(str, range(40))), images).empty


def test_a_neighbouring_frame_is_a_frame_and_no_copy():
    first, other = scan(1).astype(float), scan(2).astype(float)
    neighbour = (0.5 * first + 0.5 * other).astype(np.uint8)
    pairs = find_pairs(["first", "neighbour"], [scan(1), neighbour])
    assert pairs["kind"].tolist() == [FRAME]
    assert 0.55 < pairs["similarity"].item() < 0.9


def test_exact_copies_have_similarity_one_and_come_first():
    images = [scan(1), brighter(recompressed(scan(2))), scan(2), scan(1)]
    pairs = find_pairs(["a", "b", "c", "d"], images)
    assert pairs[["a", "b"]].values.tolist() == [["a", "d"], ["b", "c"]]
    assert pairs["similarity"].iloc[0] == pytest.approx(1, abs=1e-5)


def test_search_crosses_the_borders_of_its_chunks():
    images = [scan(seed) for seed in range(66)] + [brighter(scan(0))]
    names = [str(number) for number in range(67)]
    assert find_pairs(names, images)[["a", "b"]].values.tolist() == [["0", "66"]]


def test_blank_images_and_few_images_are_no_error():
    blank = np.zeros((50, 60, 3), np.uint8)
    assert find_pairs(["a", "b"], [blank, scan(1)]).empty
    assert find_pairs(["a"], [scan(1)]).empty
    assert groups(["a"], find_pairs(["a"], [scan(1)])) == ["a"]


def test_groups_are_connected_components_named_after_their_first_image():
    pairs = pd.DataFrame({"a": ["b", "c", "e"], "b": ["d", "d", "f"]})
    assert groups(list("abcdefg"), pairs) == ["a", "b", "b", "b", "e", "e", "g"]
    assert groups(list("abc"), pairs.iloc[:0]) == ["a", "b", "c"]


@pytest.fixture(scope="module")
def busi(tables):
    return tables("busi").set_index("image_id")


@pytest.mark.parametrize(
    "together",
    [
        ("benign/benign (433)", "malignant/malignant (145)"),
        ("benign/benign (131)", "malignant/malignant (51)", "benign/benign (42)"),
        ("benign/benign (399)", "malignant/malignant (93)"),
        ("benign/benign (85)", "malignant/malignant (52)"),
        ("benign/benign (269)", "normal/normal (1)"),
        ("benign/benign (437)", "normal/normal (34)"),
        ("malignant/malignant (98)", "malignant/malignant (99)"),  # one is 70 % of the other
        ("malignant/malignant (80)", "malignant/malignant (81)"),  # cut at opposite sides
        ("benign/benign (433)", "benign/benign (435)"),  # with and without calipers
        ("benign/benign (238)", "benign/benign (240)"),  # frames of one lesion
    ],
)
def test_known_duplicates_of_busi_share_a_group(busi, together):
    assert busi.loc[list(together), "group"].nunique() == 1


@pytest.mark.parametrize(
    "apart",
    [
        ("benign/benign (20)", "benign/benign (184)"),  # the likest pairs that are not kin
        ("benign/benign (68)", "benign/benign (49)"),
        ("benign/benign (54)", "benign/benign (184)"),
    ],
)
def test_like_lesions_of_busi_stay_apart(busi, apart):
    assert busi.loc[list(apart), "group"].nunique() == 2


def test_groups_of_busi_do_not_chain(busi):
    sizes = busi["group"].value_counts()
    assert sizes.max() <= 7
    assert 150 <= (sizes > 1).sum() <= 165
    labels = busi.groupby("group")["label"].nunique()
    assert (labels > 1).sum() == 8


def test_busi_has_no_mirrored_copies_but_a_mirrored_one_is_found(busi):
    names = list(busi.index[:30])
    images = list(read_frames(busi["path"].iloc[:30]))
    pairs = find_pairs([*names, "turned"], [*images, images[7][:, ::-1]])
    assert pairs.loc[pairs["kind"] == MIRRORED, ["a", "b"]].values.tolist() == [
        [names[7], "turned"]
    ]
