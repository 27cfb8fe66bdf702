"""What guards and prediction sets are judged by, against scikit-learn and by hand."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from core.checkpoints import open_checkpoint, write_checkpoint
from core.conformal import Conformal
from core.datasets.phantoms import phantom
from core.evaluation.corruptions import CORRUPTIONS, corrupt
from core.evaluation.guard import COLUMNS, main, read, write
from core.evaluation.guard_images import HARMED, MADE, OTHER, OWN, SAME, blanks, noises, photographs
from core.evaluation.guard_ranking import area, false_alarms, share
from core.results import conformal, guard
from core.statistics.bootstrap import RESAMPLES, resample_weights

PIXELS, MASK = phantom("malignant", 2)
RANDOM = np.random.default_rng(0)


def test_the_area_is_that_of_scikit_learn_ties_included():
    own, others = RANDOM.integers(0, 6, 80) / 3.0, RANDOM.integers(2, 9, 50) / 3.0
    found = area(own, others, np.arange(80), np.arange(50))
    truth = np.repeat([0, 1], [80, 50])
    assert found.value == pytest.approx(roc_auc_score(truth, np.concatenate([own, others])))
    assert found.low < found.value < found.high


def test_few_groups_widen_the_interval_of_the_area():
    own, others = RANDOM.normal(0, 1, 100), RANDOM.normal(1, 1, 100)
    alone = area(own, others, np.arange(100), np.arange(100))
    five = area(np.sort(own), np.sort(others), np.arange(100) // 20, np.arange(100) // 20)
    assert five.value == pytest.approx(alone.value)
    assert five.high - five.low > alone.high - alone.low


def test_the_interval_of_the_area_is_that_of_scikit_learn_on_drawn_groups():
    """Groups of unequal size, so that samples differ in how many images they hold."""
    own, others = RANDOM.normal(0, 1, 30), RANDOM.normal(1, 1, 20)
    groups = np.repeat([0, 1, 2, 3], [15, 9, 5, 1]), np.repeat([0, 1, 2], [14, 5, 1])
    drawn = [
        np.concatenate([*resample_weights(one, RESAMPLES, seed)]) for seed, one in enumerate(groups)
    ]
    truth, distances = np.repeat([0, 1], [30, 20]), np.concatenate([own, others])
    areas = [
        roc_auc_score(truth, distances, sample_weight=np.concatenate(weights))
        for weights in zip(*drawn, strict=True)
    ]
    found = area(own, others, *groups)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(areas, [0.025, 0.975])))


def test_false_alarms_by_hand():
    # 95 % of 20 are 19: the second smallest, 2, is the threshold; own scans at 2 and 5 lie there.
    others = np.arange(1, 21)
    assert false_alarms(np.array([0, 1, 2, 5]), others, np.arange(4)).value == pytest.approx(0.5)
    assert false_alarms(np.array([0.0, 1, 1.9]), others, np.arange(3)).value == 0


def test_a_share_has_an_interval_also_where_none_was_seen():
    none = share(np.zeros(30, bool), np.arange(30))
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(0.1135, abs=1e-3)  # Wilson: z^2 / (n + z^2)
    assert share(np.zeros(30, bool), np.arange(30) // 10).high == pytest.approx(0.5615, abs=1e-3)


def test_false_alarms_of_one_patient_are_one_matter():
    """Both alarms are of one of two patients: samples hold it twice, once or not at all."""
    found = false_alarms(np.array([5, 5, 0, 0]), np.arange(1, 21), np.array(["a", "a", "b", "b"]))
    assert (found.value, found.low, found.high) == (0.5, 0, 1)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_damage_grows_with_its_strength_and_repeats(name):
    changed = []
    for strength in CORRUPTIONS[name][1]:
        pixels, mask = corrupt(name, PIXELS, MASK, strength, 1)
        again, _ = corrupt(name, PIXELS, MASK, strength, 1)
        np.testing.assert_array_equal(pixels, again)
        assert pixels.dtype == np.uint8
        assert mask.shape == pixels.shape[:2]
        size = pixels.shape[0] / PIXELS.shape[0]
        changed.append(
            abs(1 - size) * 1000 if size != 1 else np.abs(pixels - PIXELS.astype(int)).mean()
        )
    assert changed == sorted(changed)
    assert changed[0] > 0
    assert len(set(changed)) == 4


def test_contrast_and_crop_by_hand():
    picture = np.zeros((10, 10, 3), np.uint8)
    picture[:, 5:] = 200
    half, _ = corrupt("contrast", picture, None, 0.5, 0)
    assert (half[0, 0, 0], half[0, 9, 0]) == (50, 150)
    cut, _ = corrupt("crop", picture, None, 0.4, 0)
    np.testing.assert_array_equal(cut, picture[2:8, 2:8])


def test_blur_by_hand():
    """A point becomes a bell whose sigma is the strength times the shorter side: 2 % of 100."""
    point = np.zeros((100, 300, 3), np.uint8)
    point[50, 150] = 255
    point = cv2.dilate(point, np.ones((9, 9)))  # bright enough to be read off in whole grey levels
    blurred, _ = corrupt("blur", point, None, 0.02, 0)
    across = blurred[..., 0].sum(axis=0, dtype=float)
    variance = (across * (np.arange(300) - 150) ** 2).sum() / across.sum()
    assert variance == pytest.approx(2**2 + (9**2 - 1) / 12, rel=0.05)


@pytest.mark.parametrize("name", ["crop", "screenshot"])
def test_the_outline_moves_with_the_picture(name):
    marked = np.where(MASK[..., None], np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    for strength in CORRUPTIONS[name][1]:
        pixels, mask = corrupt(name, marked, MASK, strength, 0)
        assert (pixels[mask] == 255).all()
        assert mask.sum() == MASK.sum() if name == "screenshot" else mask.sum() <= MASK.sum()


def test_what_is_made_is_many_kinds_and_the_same_every_time():
    first, second = ([*photographs(), *blanks(), *noises()] for _ in range(2))
    assert len({(one.set, one.image_id) for one in first}) == len(first) == 28 + 16 + 32
    for one, other in zip(first, second, strict=True):
        assert one.pixels.shape[2] == 3
        assert one.pixels.dtype == np.uint8
        np.testing.assert_array_equal(one.pixels, other.pixels)


def figures(others: float, made: float) -> pd.DataFrame:
    """Own scans at 0 to 0.99, another modality and blank images at these distances."""
    rows = [("BUSI", OWN, np.nan, f"o{i}", f"o{i}", 0.0, i / 100, "like") for i in range(100)]
    for name, relation, value in (("slides", OTHER, others), ("blank", MADE, made)):
        level = "foreign" if value > 1.25 else "like"
        rows += [(name, relation, np.nan, f"{i}", f"{i}", 0.5, value, level) for i in range(40)]
    rows += [("copies", SAME, np.nan, f"{i}", f"{i}", 0.2, 0.3, "like") for i in range(10)]
    rows += [
        (name, HARMED, float(s), f"o{i}", f"o{i}", 0, 2.0, "foreign" if i < 3 else "like")
        for name, (_, strengths) in CORRUPTIONS.items()
        for s in strengths
        for i in range(4)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_the_section_says_that_the_goal_is_met_or_where_it_is_missed():
    met = guard.section({"busi-x": figures(2.0, 3.0)})
    assert "is met against all 2 sets of another kind" in met
    assert "pass as like: none" in met
    # No pair is out of order in any sample, which tells nothing of how rare that is.
    assert "| slides | other modality | 40 | 1.000 (no usable interval) | 1.000" in met
    assert "100 own test scans (100 groups) 0.0 % (0.0 % to 3.7 %) are flagged" in met
    assert met.count("75.0 %") == 20  # of every damage and strength: 3 of 4
    missed = guard.section({"busi-x": figures(0.9, 3.0)})
    # 10 of 100 own scans lie at 0.9 or beyond: AUROC (90 + 0.5) / 100, and 10 % false alarms.
    assert "is missed against: slides." in missed
    assert "pass as like: slides 40" in missed
    assert "| slides | other modality | 40 | 0.905 (" in missed
    # Samples have Binomial(100, 0.1) alarms, whose 2.5 and 97.5 % quantiles are 5 and 16.
    bounds = re.search(r"\| 10\.0 % \(([\d.]+) % to ([\d.]+) %\) \|", missed).groups()
    assert [*map(float, bounds)] == pytest.approx([5, 16], abs=1)


def test_what_is_unusual_is_flagged_and_not_called_another_kind():
    table = figures(1.1, 3.0)  # slides that lie between 1 and 1.25
    table.loc[table["set"] == "slides", "level"] = "unusual"
    table.loc[table.index[:3], "level"] = ["unusual", "unusual", "foreign"]
    told = guard.section({"x": table})
    slides = next(line for line in told.splitlines() if line.startswith("| slides"))
    flagged, foreign = (cell.split(" (")[0] for cell in slides.strip("| ").split(" | ")[-2:])
    assert (flagged, foreign) == ("100.0 %", "0.0 %")
    assert re.search(r"3\.0 % \([^)]*\) are flagged.* 1\.0 % \([^)]*\) called another", told)


def test_a_view_that_is_not_judged_has_no_figure():
    judged = guard.section({"x": figures(2.0, 3.0)})
    unjudged = guard.section({"x": figures(2.0, 3.0).assign(features=0.0)})
    assert "not judged" not in judged
    assert unjudged.count("| not judged | 1.000") == 2  # slides, blank; the picture alone is


def test_copies_of_the_own_modality_do_not_count_for_the_goal():
    assert "copies" not in guard.section({"x": figures(2.0, 3.0)}).split("| Images")[0]


def test_there_is_no_section_without_figures():
    assert guard.section({}) == ""
    assert conformal.section([]) == ""


def test_prediction_sets_are_judged_by_hand():
    sets = Conformal(("benign", "malignant"), 0.6, 0.9, 50)
    test = pd.DataFrame(
        {
            "label": ["benign", "benign", "malignant", "malignant"],
            "group": ["a", "a", "b", "c"],
            "benign": [0.9, 0.3, 0.55, 0.95],
            "malignant": [0.1, 0.7, 0.45, 0.05],
        }
    )
    # Classes of at least 0.4 are in: {benign}, {malignant}, both, {benign}.
    found = conformal.judge(sets, test)
    assert (found.n, found.n_groups) == (4, 3)
    assert found.coverage[0] == pytest.approx(0.5)
    assert found.size == pytest.approx(1.25)
    assert found.single == pytest.approx(0.75)
    assert found.by_class == (("benign", 0.5, 2), ("malignant", 0.5, 2))


def test_what_was_measured_is_kept_in_the_checkpoint_and_read_again(tmp_path):
    write_checkpoint(tmp_path / "x", {"card.md": b"# Card"}, {})
    assert read(open_checkpoint("x", tmp_path)).empty
    write(open_checkpoint("x", tmp_path), figures(2.0, 3.0))
    kept = open_checkpoint("x", tmp_path)
    pd.testing.assert_frame_equal(read(kept), figures(2.0, 3.0), check_dtype=False)
    assert kept.card == "# Card"


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["--recipe", "no-such", "--output", str(tmp_path)]) == 2
    assert "No trained system 'no-such'" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1"])
def test_the_command_refuses_what_is_no_number_of_images(count, tmp_path, capsys):
    """-1 took all but one, and 0 none."""
    with pytest.raises(SystemExit):
        main(["--recipe", "no-such", "--output", str(tmp_path), f"--limit={count}"])
    assert "--limit: give a whole number of at least 1" in capsys.readouterr().err
