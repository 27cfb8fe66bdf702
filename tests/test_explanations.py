"""The examination of explanation methods: what is measured, kept, summed up and said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.checkpoints import Checkpoint, list_trained, open_checkpoint, write_checkpoint
from core.datasets import DatasetError
from core.datasets.phantoms import phantom_table
from core.evaluation import examination, explanations
from core.evaluation.examination import PLAN, System, measure, tasks
from core.evaluation.explanations import COLUMNS, OUTLINED, summarise
from core.evaluation.journal import Journal
from core.evaluation.verdicts import overall, verdict
from core.explain import METHODS
from core.results.explanations import section

RECIPE = "busi-efficientnet-b0"
GRAD, EIGEN, SCORE = (METHODS[name] for name in ("grad-cam", "eigen-cam", "score-cam"))


def table_of(metric_values: dict[str, dict[str, list[float]]], groups: str = "aabb"):
    """Method -> metric -> one value an image, the images in these groups."""
    rows = [
        (f"image {number}", group, method, metric, values[number])
        for method, metrics in metric_values.items()
        for metric, values in metrics.items()
        for number, group in enumerate(groups[: len(values)])
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


# What is to do


def test_dear_methods_see_the_first_images_only():
    table = phantom_table(30)
    todo = tasks(table, [GRAD, EIGEN, SCORE])
    seen = pd.DataFrame([task.key for task in todo], columns=["image", "method", "part"])
    counts = seen.groupby(["method", "part"]).size()
    for method in (GRAD, SCORE):
        plan = PLAN[method.cost]
        assert counts[method.id, "location"] == 90
        assert counts[method.id, "faithfulness"] == plan["faithfulness"]
        assert counts[method.id, "stress"] == plan["stress"]
    dear = set(seen[(seen["method"] == "score-cam") & (seen["part"] == "faithfulness")]["image"])
    assert dear == set(table["image_id"].head(len(dear))) and len(dear) < 90
    full = tasks(table, [SCORE], full=True)
    parts = [task.part for task in full]
    assert parts.count("location") == parts.count("faithfulness") == 90
    assert parts.count("stress") == PLAN["minutes"]["stress"]


# Measuring


def test_a_map_is_made_once_for_all_its_figures(system, tmp_path):
    asked = []

    def run(*arguments, **settings):
        asked.append(arguments)
        return GRAD.run(*arguments, **settings)

    todo = tasks(phantom_table(1).head(2), [replace(GRAD, run=run)])
    todo = [task for task in todo if task.part != "stress"]
    assert [task.part for task in todo] == ["location", "faithfulness"] * 2
    assert len(list(measure(system, todo, Journal(tmp_path / "x.jsonl")))) == 4
    assert len(asked) == 2


@pytest.fixture(scope="module")
def system() -> System:
    if RECIPE not in list_trained():
        pytest.skip(f"{RECIPE} is not shipped")
    return System(open_checkpoint(RECIPE))


def test_an_interrupted_examination_goes_on_where_it_was(system, tmp_path):
    todo = tasks(phantom_table(1).head(1), [GRAD, EIGEN])
    todo = [task for task in todo if task.part == "location"]
    journal = Journal(tmp_path / "runs" / "x.jsonl")
    assert next(measure(system, todo, journal)).method is GRAD  # and no further
    assert list(journal.read()) == [todo[0].key]
    with (tmp_path / "runs" / "x.jsonl").open("a") as file:
        file.write('\n{"image_id": "cut sho')
    left = [task for task in todo if task.key not in journal.read()]
    assert [task.method for task in left] == [EIGEN]
    list(measure(system, left, journal))
    assert list(journal.read()) == [task.key for task in todo]

    found = explanations.long_table(list(journal.read().values()))
    assert list(found.columns) == COLUMNS
    values = found.set_index(["method", "metric"])["value"]
    assert set(values["grad-cam"].index) == set(values["eigen-cam"].index)
    assert 0 <= values["grad-cam", "iou"] <= values["grad-cam", "dice"] <= 1
    assert values["grad-cam", "seconds"] > 0
    bounded = found[found["metric"] != "seconds"]["value"].dropna()
    assert bounded.between(0, 1).all()


def test_times_of_a_busy_machine_are_not_kept(system, tmp_path):
    todo = tasks(phantom_table(1).head(1), [GRAD])
    todo = [task for task in todo if task.part != "stress"]
    journal = Journal(tmp_path / "x.jsonl")
    list(measure(system, todo, journal, timed=False))
    found = explanations.long_table(list(journal.read().values()))
    assert {"iou", "deletion"} <= set(found["metric"])
    assert "seconds" not in set(found["metric"])


def test_the_explained_class_is_the_predicted_one(system):
    row = next(phantom_table(1).itertuples())
    case = system.case(row)
    assert case.target == system.classifier.logits(case.batch)[0].argmax()
    assert case.mask.any() and case.batch.shape == (1, 224, 224, 3)


# Keeping


def test_figures_join_the_checkpoint_and_the_rest_of_it_stays(tmp_path):
    write_checkpoint(tmp_path / "x", {"card.md": b"# Card"}, {"recipe": "x"})
    assert explanations.read(open_checkpoint("x", tmp_path)).empty
    first = table_of({"grad-cam": {"iou": [0.1, 0.2]}})
    explanations.write(open_checkpoint("x", tmp_path), first)
    more = table_of({"grad-cam": {"iou": [0.3]}, "eigen-cam": {"iou": [0.4]}})
    explanations.write(open_checkpoint("x", tmp_path), more)
    checkpoint = open_checkpoint("x", tmp_path)
    assert checkpoint.card == "# Card"
    assert checkpoint.manifest["recipe"] == "x"
    kept = explanations.read(checkpoint).set_index(["method", "image_id"])["value"].to_dict()
    assert kept == {
        ("grad-cam", "image 0"): 0.3,  # measured again
        ("grad-cam", "image 1"): 0.2,
        ("eigen-cam", "image 0"): 0.4,
    }


def test_times_of_a_busy_machine_are_left_out():
    table = table_of(
        {
            "grad-cam": {"seconds": [1.0, 1.1, 0.9, 2.3], "iou": [0.1, 0.1, 0.1, 0.9]},
            "score-cam": {"seconds": [20.0, 21.0, 22.0, 41.0]},
        }
    )
    kept = explanations.without_delays(table).set_index(["method", "metric"])["value"]
    assert kept["grad-cam", "seconds"].dropna().tolist() == [1.0, 1.1, 0.9]
    assert kept["score-cam", "seconds"].dropna().tolist() == [20.0, 21.0, 22.0, 41.0]
    assert kept["grad-cam", "iou"].tolist() == [0.1, 0.1, 0.1, 0.9]


def test_times_are_kept_as_measured_and_left_out_when_summed_up(tmp_path):
    """Left out again and again, with a lower median each time, hardly any would remain."""
    write_checkpoint(tmp_path / "x", {"card.md": b"# Card"}, {"recipe": "x"})
    times = [1.0, 1.0, 2.1, 4.3]  # the median is 1.55; without the last it would be 1
    table = table_of({"grad-cam": {"seconds": times}})
    for _ in range(3):
        found = explanations.write(open_checkpoint("x", tmp_path), table)
    assert found["value"].tolist() == times
    (row,) = explanations.summary(open_checkpoint("x", tmp_path)).itertuples()
    assert (row.n, row.mean) == (3, pytest.approx(4.1 / 3))


# Summing up


def test_means_and_intervals_over_groups():
    values = {"grad-cam": {"iou": [0.0, 0.2, 0.8, 1.0], "energy_inside": [np.nan, 0.5]}}
    found = summarise(table_of(values)).set_index(["method", "metric"])
    iou = found.loc["grad-cam", "iou"]
    assert (iou["mean"], iou["n"]) == (pytest.approx(0.5), 4)
    # Two groups with means 0.1 and 0.9: a quarter of the samples has only one of them.
    assert (iou["low"], iou["high"]) == (pytest.approx(0.1), pytest.approx(0.9))
    assert found.loc["grad-cam", "energy_inside"]["n"] == 1


def test_what_is_so_on_all_images_or_none_has_the_interval_of_a_share():
    """Wilson's, of 0 and of 4 in 4 groups: z^2 / (4 + z^2) = 0.49 from the end."""
    values = {"grad-cam": {"empty": [0.0] * 4, "increase": [1.0] * 4}}
    found = summarise(table_of(values, "abcd")).set_index("metric")
    assert found.loc["empty", ["low", "high"]].tolist() == pytest.approx([0, 0.49], abs=0.005)
    assert found.loc["increase", ["low", "high"]].tolist() == pytest.approx([0.51, 1], abs=0.005)


def test_summary_of_a_checkpoint_without_figures_is_empty_with_its_columns(tmp_path):
    write_checkpoint(tmp_path / "x", {"card.md": b"# Card"}, {})
    found = explanations.summary(Checkpoint(tmp_path / "x"))
    assert list(found.columns) == ["method", "metric", "mean", "low", "high", "n"]
    assert found.empty


FOUR = ("grad-cam", "score-cam", "eigen-cam", "dt-grad-cam")


def ranked(*means: float):
    """The four methods of the paper with these IoUs, the same on every image but for Score-CAM,
    which saw two images only."""
    values = {name: {"iou": [mean] * 4} for name, mean in zip(FOUR, means, strict=True)}
    values["score-cam"]["iou"] = values["score-cam"]["iou"][:2]
    for metrics in values.values():
        metrics["dice"] = metrics["energy_inside"] = metrics["iou"]
    return table_of(values, "abcd")


def test_the_verdict_says_that_the_order_holds():
    said = verdict(ranked(0.1, 0.2, 0.3, 0.4))
    assert (
        "Best by IoU is DT-Grad-CAM (0.400), 0.100 (0.100 to 0.100) ahead of Eigen-CAM on" in said
    )
    assert "on the 2 images that all methods explained" in said
    assert "on the 4 images that 3 of the methods explained" in said
    assert [one.partition(" is ")[0] for one in said.split("\n\n")] == [
        "Best by IoU",
        "Best by IoU",
        "The order of the DALAResNet50 paper",
    ]
    assert "by IoU it holds (Grad-CAM 0.100 < Score-CAM 0.200 < Eigen-CAM 0.300" in said
    assert "not" not in said


def test_the_verdict_says_that_the_order_does_not_hold():
    said = verdict(ranked(0.1, 0.5, 0.3, 0.4))
    assert "Best by Dice is Score-CAM" in said
    assert "by IoU it does not hold (Grad-CAM 0.100 < Eigen-CAM 0.300 < DT-Grad-CAM 0.400" in said


def test_a_figure_without_any_image_is_not_told():
    table = ranked(0.1, 0.2, 0.3, 0.4)
    unmeasured = (table["metric"] == "energy_inside") & (table["method"] == "grad-cam")
    table.loc[unmeasured, "value"] = np.nan
    assert "energy" not in verdict(table)
    assert "by IoU it holds" in verdict(table)
    assert "by IoU on 1 of 1, by Dice on 1 of 1 systems" in overall({"a-system": table})


def test_one_image_settles_nothing():
    values = {"grad-cam": {"iou": [0.5]}, "eigen-cam": {"iou": [0.4]}}
    assert verdict(table_of(values, "a")) == (
        "Best by IoU is Grad-CAM (0.500), 0.100 (no usable interval) ahead of Eigen-CAM on the "
        "1 image that all methods explained: they cannot be told apart."
    )


def test_a_small_lead_is_called_unsettled():
    values = {"grad-cam": {"iou": [0.1, 0.5, 0.2, 0.4]}, "eigen-cam": {"iou": [0.5, 0.1, 0.4, 0.3]}}
    said = verdict(table_of(values, "abcd"))
    assert "they cannot be told apart" in said
    assert "order of the" not in said  # two of its methods were not measured


# The page


def test_the_section_shows_every_method_with_its_count_and_flags_what_survives():
    table = pd.concat(
        [ranked(0.1, 0.2, 0.3, 0.4), _stress("grad-cam", 0.1, 0.6), _stress("eigen-cam", 0.8, 0.1)]
    )
    text = section({"some-recipe": table})
    assert "### Explanations of `some-recipe`" in text
    assert "| Score-CAM | 2 | 0.200 (no usable interval)" in text
    assert "| Score-CAM | 0.3539 | 0.5122 | 0.5916 |" in text  # the paper's
    flagged = next(line for line in text.splitlines() if line.startswith("Flagged"))
    all_random, _, head_random = flagged.partition("With the last layer alone random")
    assert "Eigen-CAM" in all_random and "Grad-CAM" not in all_random
    head_random, _, untested = head_random.partition(" Not tested with random weights:")
    assert head_random.endswith(" Grad-CAM.")
    assert untested == " Score-CAM, DT-Grad-CAM."
    assert section({}) == ""


def test_which_method_is_best_is_said_over_all_systems():
    one, other = ranked(0.1, 0.2, 0.3, 0.4), ranked(0.1, 0.2, 0.5, 0.4)
    said = overall({"a": one, "b": other, "c": one})
    assert "By IoU it is DT-Grad-CAM on `a` and `c`, Eigen-CAM on `b`." in said
    assert "holds by IoU on 2 of 3" in said
    assert said in section({"a": one, "b": other, "c": one})
    assert overall({"a": table_of({"grad-cam": {"iou": [0.1, 0.2]}}, "ab")}) == ""
    two = {"grad-cam": {"iou": [0.1, 0.2]}, "eigen-cam": {"iou": [0.2, 0.3]}}
    assert "paper" not in overall({"a": table_of(two, "ab")}), "it was not all measured"


def _stress(method: str, whole: float, head: float):
    ranks = {"random_all_rank": [whole] * 2, "random_head_rank": [head] * 2}
    return table_of({method: ranks}, "ab")


# The command


def test_the_command_resumes_and_keeps_phantoms_out_of_the_checkpoint(
    tmp_path, monkeypatch, capsys, few_phantoms
):
    if RECIPE not in list_trained():
        pytest.skip(f"{RECIPE} is not shipped")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESIONLENS_DATA", raising=False)
    monkeypatch.setattr(examination, "PLAN", {"instant": {"location": None}})
    command = ["--recipe", RECIPE, "--limit", "1", "--methods", "grad-cam"]
    assert explanations.main(command) == 0
    (journal,) = (tmp_path / "runs").iterdir()
    before = journal.read_text()
    assert before.count('"image_id"') == 1
    assert json.loads(before)["method"] == "grad-cam"
    assert explanations.main(command) == 0
    assert journal.read_text() == before  # nothing was measured twice
    assert "phantoms" in capsys.readouterr().out
    assert (
        explanations.read(open_checkpoint(RECIPE)).query("image_id.str.contains('phantom')").empty
    )


def test_measuring_again_goes_on_where_it_was(tmp_path, monkeypatch, few_phantoms):
    """Three maps, known already, are measured again, with Ctrl-C after the second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESIONLENS_DATA", raising=False)
    monkeypatch.setattr(examination, "PLAN", {"instant": {"location": None}})
    checkpoint = open_checkpoint(RECIPE)
    rounds, asked, stop = iter(range(9)), [], []

    def run(checkpoint, todo, journal, timed):
        number = next(rounds)
        asked.append([task.row.image_id for task in todo])
        for done, task in enumerate(todo):
            if done == 2 and stop:
                raise KeyboardInterrupt
            image_id, method, part = task.key
            record = {"image_id": image_id, "method": method, "part": part, "group": "g"}
            journal.add(record | {"values": {"iou": number}})

    monkeypatch.setattr(explanations, "_run", run)
    command = ["--recipe", RECIPE, "--limit", "3", "--methods", "grad-cam"]

    def kept() -> list[int]:
        records = explanations.journal_of(checkpoint, "phantoms").read().values()
        return [record["values"]["iou"] for record in records]

    assert explanations.main(command) == 0 and kept() == [0, 0, 0]
    stop.append(True)
    assert explanations.main([*command, "--again"]) == 130
    stop.clear()
    assert explanations.main(command) == 0 and kept() == [0, 0, 0]
    assert explanations.main([*command, "--again"]) == 0 and kept() == [1, 1, 3]
    assert explanations.main([*command, "--again"]) == 0 and kept() == [4, 4, 4]
    images = asked[0]
    assert len(images) == 3
    assert asked == [images, images, [], images[2:], images]
    assert len(list((tmp_path / "runs").iterdir())) == 1


@pytest.mark.slow
def test_images_without_outlines_are_refused_with_a_sentence(data_folder):
    """The thermograms have none."""
    with pytest.raises(DatasetError, match="nothing to measure its maps against"):
        explanations.images_of(open_checkpoint("mri-efficientnetv2b0"), None)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["--recipe", RECIPE, "--methods", "tea-leaves"], "no method 'tea-leaves'"),
        (["--recipe", "none-such"], "No trained system 'none-such'"),
    ],
)
def test_the_command_refuses_what_is_not_there(command, said, capsys):
    assert explanations.main(command) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("count", ["0", "-5", "two"])
def test_the_command_refuses_what_is_no_number_of_images(count, capsys):
    with pytest.raises(SystemExit):
        explanations.main(["--recipe", RECIPE, f"--limit={count}"])
    assert "--limit: give a whole number of at least 1" in capsys.readouterr().err


def test_the_command_refuses_figures_without_weights(tmp_path, capsys):
    if RECIPE not in list_trained():
        pytest.skip(f"{RECIPE} is not shipped")
    folder = shutil.copytree(open_checkpoint(RECIPE).folder, tmp_path / RECIPE)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["weights"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert explanations.main(["--recipe", RECIPE, "--output", str(tmp_path)]) == 2
    assert f"The weights of {RECIPE} were not kept" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["busi", "thermograms", "mammograms", "ucsb"])
def test_the_data_sets_with_outlines_are_those_that_are_named(tables, dataset):
    assert tables(dataset)["masks"].map(len).any() == (dataset in OUTLINED)
