"""Near-duplicate images, found by content: copies of one frame, and frames of one lesion.

Sets that were collected by hand hold the same image several times (resaved, cropped at the sides,
with other calipers, under another label). Wherever such images fall on both sides of a split, the
test measures memory. `find_pairs` finds them, `groups` joins them.

The rule, on 96 x 96 grey thumbnails (aspect ratio dropped), less what a Gaussian of about a tenth
of the side (search) or a twentieth (verification) keeps, so that neither gain nor shadow nor the
layering that all breasts share makes two images alike:

1. Search. The best correlation, at 32 x 32, of one image with any of 20 windows of the other
   (whole; 90, 80, 70 % of the width; 90 % of the height; trimmed all round), plain and mirrored.
2. Verification of every pair that reaches 0.5: an affine alignment (ECC, Evangelidis and Psarakis
   2008) from that window on, and the correlation at 96 x 96 where both overlap.
3. "copy" if that correlation is 0.9 or more, and "mirrored" likewise. "frame", another view of the
   same place, if it is 0.55 or more, or if the mean of the search and of the plain correlation of
   the 32 x 32 grey images is 0.72 or more; a mirror image is never a "frame".
4. Groups are the connected components.

What it finds in BUSI (780 images, 303,810 pairs): 375 plain pairs are verified; 220 are copies and
48 frames, in 158 groups with 361 images (128 of two, 22 of three, 5 of four, 1 of five, 2 of
seven), 8 of them under two labels. No image is a mirror image of another: the best of 102 mirrored
candidates aligns to 0.60, which is what chance can do. How that was checked:

- The thresholds were set by eye, on contact sheets of the pairs on either side of them. 47 of the
  48 frames show the same place; malignant (184) ~ malignant (202) is open to doubt. Between copies
  and frames there is no gap: consecutive frames align to 0.8 to 0.93. The nearest pairs left out
  are cysts of like shape; they align to 0.53.
- SIFT features matched under a similarity transform, over all pairs, give 229 pairs with 30 inliers
  or more. All 229 are found, and all 220 copies are among them.
- Aumente-Maestro, Diez and Remeseiro (Computer Methods and Programs in Biomedicine 2024, 108540)
  found 149 groups with 330 images (122, 22 and 5 of two, three and four) by structural similarity.
  Pawlowska, Karwat and Zolek (Data in Brief 48 (2023) 109247) report 235 duplicated images.

What it cannot find is a lesion seen from another angle. BUSI has such images, and no patient ids.
The rule for frames was chosen on ultrasound; where it is too broad, drop those pairs before
`groups`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

COPY, MIRRORED, FRAME = "copy", "mirrored", "frame"

_SIDE = 96  # of a thumbnail
_SEARCH_SIDE = 32
_SEARCH_BLUR, _ALIGN_BLUR = 3.0, 5.0  # pixels of either size
_BATCH = 256  # candidates verified before the progress is told again
_CHUNK = 64  # images searched at a time: memory stays linear in the number of images
_CANDIDATE, _SAME_IMAGE, _SAME_PLACE, _SAME_LAYOUT = 0.5, 0.9, 0.55, 0.72
_LEAST_OVERLAP = 0.5
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)


def _windows() -> tuple[tuple[int, int, int, int], ...]:
    """Parts of a thumbnail that another image may show: (left, right, top, bottom) in pixels."""
    whole = (0.0, 1.0, 0.0, 1.0)
    narrower = [
        (left, left + width, 0.0, 1.0)
        for width, places in ((0.9, 3), (0.8, 5), (0.7, 7))
        for left in np.linspace(0, 1 - width, places)
    ]
    trimmed = [(cut, 1 - cut, cut, 1 - cut) for cut in (0.05, 0.1)]
    shorter = [(0.0, 1.0, top, top + 0.9) for top in (0.0, 0.1)]
    fractions = np.array([whole, *narrower, *trimmed, *shorter])
    return tuple(map(tuple, np.rint(fractions * _SIDE).astype(int).tolist()))


_WINDOWS = _windows()


@dataclass(frozen=True)
class _Candidate:
    """Image `whole` looks like window number `window` of image `part_of`."""

    part_of: int
    whole: int
    window: int
    search: float
    mirrored: bool


def find_pairs(image_ids: Sequence[str], images: Iterable[np.ndarray]) -> pd.DataFrame:
    """Pairs of near-duplicates among images, uint8 (H, W, 3) of any sizes, read one at a time.

    Columns: a, b (image ids, a before b in `image_ids`), similarity (the correlation after
    alignment, in [-1, 1]), kind ("copy", "mirrored" or "frame"); the most similar pairs first.
    """
    return pairs_of(image_ids, [thumbnail(to_grey(image)) for image in images])


def pairs_of(
    image_ids: Sequence[str],
    thumbnails: Sequence[np.ndarray],
    most: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> pd.DataFrame:
    """`find_pairs` of images given as their `thumbnail`s. With `most`, no more than that many
    candidates of each image are verified, those most alike. `progress` is told the share of the
    work done, in [0, 1]."""
    candidates = list(_candidates(thumbnails, most, lambda share: progress(share / 2)))
    judged = _judged(thumbnails, candidates, lambda share: progress((1 + share) / 2))
    rows = [
        (*sorted((candidate.part_of, candidate.whole)), similarity, kind)
        for candidate, (similarity, kind) in zip(candidates, judged, strict=True)
        if kind
    ]
    pairs = pd.DataFrame(rows, columns=["a", "b", "similarity", "kind"])
    pairs = pairs.sort_values(["similarity", "a", "b"], ascending=[False, True, True])
    pairs = pairs.drop_duplicates(["a", "b"], ignore_index=True)
    names = np.asarray(image_ids, dtype=object)
    return pairs.assign(a=names[pairs["a"].to_numpy(int)], b=names[pairs["b"].to_numpy(int)])


def groups(image_ids: Sequence[str], pairs: pd.DataFrame) -> list[str]:
    """Group of every image: the id of the first image that pairs connect it with, or its own."""
    position = {image_id: index for index, image_id in enumerate(image_ids)}
    edges = (pairs["a"].map(position).to_numpy(int), pairs["b"].map(position).to_numpy(int))
    size = (len(position), len(position))
    graph = coo_matrix((np.ones(len(pairs)), edges), shape=size)
    _, components = connected_components(graph, directed=False)
    first: dict[int, str] = {}
    return [first.setdefault(c, name) for c, name in zip(components, image_ids, strict=True)]


def to_grey(image: np.ndarray) -> np.ndarray:
    """An image, uint8 (H, W, 3), in grey, uint8 (H, W)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """What near-duplicates are found by: a grey image, uint8 (H, W), at 96 x 96 pixels."""
    return cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)


def _candidates(
    thumbnails: Sequence[np.ndarray],
    most: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Iterator[_Candidate]:
    """Pairs worth verifying: for each pair, plain and mirrored, the better of its two directions
    or both (which of two images is a part of the other is not known beforehand)."""
    for mirrored in (False, True):
        wholes = np.array([_search_feature(t[:, ::-1] if mirrored else t) for t in thumbnails])
        for start in range(0, len(thumbnails), _CHUNK):
            progress((mirrored + start / len(thumbnails)) / 2)
            chunk = thumbnails[start : start + _CHUNK]
            parts = np.array([_search_feature(_cut(t, w)) for t in chunk for w in _WINDOWS])
            scores = (parts @ wholes.T).reshape(len(chunk), len(_WINDOWS), len(wholes))
            best = scores.max(axis=1)
            if most is not None and most + 1 < len(wholes):  # the most alike of all is itself
                best[best < -np.partition(-best, most, axis=1)[:, most : most + 1]] = 0
            for row, whole in zip(*np.nonzero(best >= _CANDIDATE), strict=True):
                if start + row != whole:
                    window = int(scores[row, :, whole].argmax())
                    score = float(best[row, whole])
                    yield _Candidate(start + int(row), int(whole), window, score, mirrored)


def _judged(
    thumbnails: Sequence[np.ndarray],
    candidates: Sequence[_Candidate],
    progress: Callable[[float], None],
) -> Iterator[tuple[float, str | None]]:
    """What `_judge` says of each, on all processors: OpenCV lets other threads go on."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(candidates), _BATCH):
            progress(start / len(candidates))
            batch = candidates[start : start + _BATCH]
            yield from pool.map(lambda one: _judge(thumbnails, one), batch)


def _judge(thumbnails: Sequence[np.ndarray], pair: _Candidate) -> tuple[float, str | None]:
    scene, view = thumbnails[pair.part_of], thumbnails[pair.whole]
    if pair.mirrored:
        similarity = _aligned(scene, np.ascontiguousarray(view[:, ::-1]), _WINDOWS[pair.window])
        return similarity, MIRRORED if similarity >= _SAME_IMAGE else None
    similarity = _aligned(scene, view, _WINDOWS[pair.window])
    if similarity >= _SAME_IMAGE:
        return similarity, COPY
    layout = (pair.search + float(_unit(_small(scene)) @ _unit(_small(view)))) / 2
    alike = similarity >= _SAME_PLACE or layout >= _SAME_LAYOUT
    return similarity, FRAME if alike else None


def _aligned(scene: np.ndarray, view: np.ndarray, window: tuple[int, int, int, int]) -> float:
    """Correlation of two thumbnails where they overlap, best of before and after refinement."""
    left, right, top, bottom = window
    start = np.array(
        [[(right - left) / _SIDE, 0, left], [0, (bottom - top) / _SIDE, top]], np.float32
    )
    scene, view = _details(scene, _ALIGN_BLUR), _details(view, _ALIGN_BLUR)
    warps = [start]
    try:
        affine = cv2.MOTION_AFFINE
        warps.append(cv2.findTransformECC(view, scene, start.copy(), affine, _STOP, None, 5)[1])
    except cv2.error:  # the alignment did not converge: these two are not alike
        pass
    return max(_overlap_correlation(scene, view, warp) for warp in warps)


def _overlap_correlation(scene: np.ndarray, view: np.ndarray, warp: np.ndarray) -> float:
    size, flags = (_SIDE, _SIDE), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(scene, warp, size, flags=flags)
    inside = cv2.warpAffine(np.ones_like(scene), warp, size, flags=flags) > 0.99
    if inside.mean() < _LEAST_OVERLAP:
        return -1.0
    return float(_unit(warped[inside]) @ _unit(view[inside]))


def _cut(thumbnail: np.ndarray, window: tuple[int, int, int, int]) -> np.ndarray:
    left, right, top, bottom = window
    return thumbnail[top:bottom, left:right]


def _search_feature(thumbnail: np.ndarray) -> np.ndarray:
    return _unit(_details(_small(thumbnail), _SEARCH_BLUR))


def _small(thumbnail: np.ndarray) -> np.ndarray:
    size = (_SEARCH_SIDE, _SEARCH_SIDE)
    return cv2.resize(thumbnail, size, interpolation=cv2.INTER_AREA)


def _details(grey: np.ndarray, blur: float) -> np.ndarray:
    """What a Gaussian of that many pixels blurs away, float32."""
    grey = grey.astype(np.float32)
    return grey - cv2.GaussianBlur(grey, (0, 0), blur)


def _unit(values: np.ndarray) -> np.ndarray:
    """Values, flat, with mean 0 and length 1, so that a dot product is a correlation."""
    values = values.astype(np.float32).ravel()
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-6)
