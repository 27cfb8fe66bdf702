"""Published beside measured: what is shown, what is missing, what does not add up."""

from __future__ import annotations

import copy
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
import tomli_w
from rich.console import Console

from core import card
from core.checkpoints import FIGURES_ONLY, list_trained, offered, write_checkpoint
from core.evaluation import evaluate
from core.evaluation.calibration import calibrate
from core.evaluation.run import evaluate_run
from core.recipes import list_recipes, load_recipe
from core.results import __main__ as command
from core.results import reproduction, tables
from core.results.page import PAGE, markdown
from core.results.rows import Row, all_rows, rows_of

RECIPE = load_recipe("busi-mobilenetv2")
PROTOCOLS = ("published", "grouped")


def predictions(seed=0, n=40) -> pd.DataFrame:
    """Both protocols, all three splits each, in the form of predictions.parquet."""
    random = np.random.default_rng(seed)
    parts = []
    for protocol in PROTOCOLS:
        for split in ("train", "validation", "test"):
            shares = random.dirichlet([0.5] * 3, n).astype(np.float32)
            part = pd.DataFrame(shares, columns=list(RECIPE.classes))
            labels = random.choice(RECIPE.classes, n)
            ids = [f"{split} {i}" for i in range(n)]
            groups = [f"g{i // 2}" for i in range(n)]
            run = {"protocol": protocol, "seed": 3, "split": split}
            parts.append(part.assign(label=labels, image_id=ids, group=groups, **run))
    return pd.concat(parts, ignore_index=True)


def judged(table: pd.DataFrame) -> dict:
    found = {}
    for protocol, rows in table.groupby("protocol"):
        test, validation = (rows[rows["split"] == name] for name in ("test", "validation"))
        fitted = calibrate(validation, test, RECIPE.classes, RECIPE.malignant_classes)
        run = {"seed": 3, "split": "test", "calibration": fitted}
        found[protocol] = evaluate(test, RECIPE.classes) | run
    return found


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return predictions()


@pytest.fixture(scope="module")
def metrics(table) -> dict:
    return judged(table)


def ship(root, table, metrics, told=None, trained=None) -> None:
    """A checkpoint whose card is that of its metrics, or of what is ``told``; the runs in its
    history are those of the predictions, or of what was ``trained``."""
    history = (table if trained is None else trained)[["protocol", "seed"]].drop_duplicates()
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    files = {
        "recipe.toml": tomli_w.dumps(RECIPE.model_dump(mode="json", exclude_none=True)).encode(),
        "predictions.parquet": buffer.getvalue(),
        "metrics.json": json.dumps(metrics).encode(),
        "history.csv": history.to_csv(index=False).encode(),
        "card.md": card.render(RECIPE, told or metrics).encode(),
    }
    write_checkpoint(root / RECIPE.id, files, {})


def on_screen(rows, width=tables.WIDTH) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(tables.terminal_table(rows))
    return console.file.getvalue()


def markdown_cells(page: str, start: str) -> list[str]:
    line = next(line for line in page.splitlines() if line.startswith(start))
    return [cell.strip() for cell in line.strip("|").split("|")]


# Rows


def test_the_paper_comes_first_then_the_protocols_that_can_be_compared_with_it(metrics):
    rows = rows_of(RECIPE, metrics)
    assert [row.figures for row in rows] == ["paper", "published", "grouped"]
    assert [row.status for row in rows] == ["paper", "measured", "measured"]
    assert [row.n for row in rows] == [129, 40, 40]  # the paper's confusion matrix has 129
    assert rows[0].values["mcc"] == {"value": 0.74, "low": None, "high": None}
    assert rows[2].values is metrics["grouped"]["values"]
    assert rows[2].n_groups == 20


def test_what_was_not_trained_says_so(metrics):
    rows = rows_of(RECIPE, {"grouped": metrics["grouped"]})
    assert [row.status for row in rows] == ["paper", "not trained", "measured"]
    cells = markdown_cells(tables.page(rows[1:]), "| `busi-mobilenetv2` | published")
    assert cells[2:] == ["not trained", *["–"] * 6]


def test_every_recipe_has_three_rows_with_or_without_a_checkpoint(tmp_path, table, metrics):
    ship(tmp_path, table, metrics)
    rows = all_rows(tmp_path)
    assert len(rows) == 3 * len(list_recipes())
    measured = {row.recipe.id for row in rows if row.status == "measured"}
    assert measured == {RECIPE.id}


def test_figures_that_are_kept_alone_count_unless_the_system_is_there(tmp_path, table, metrics):
    other = copy.deepcopy(metrics)
    other["grouped"]["values"]["accuracy"]["value"] = 0.125
    ship(tmp_path / FIGURES_ONLY, table, other)
    grouped = rows_by_figures(tmp_path)["grouped"]
    assert grouped.status == "measured" and grouped.values["accuracy"]["value"] == 0.125
    (problem,) = reproduction.check(tmp_path)
    assert problem.startswith("busi-mobilenetv2: grouped, accuracy (value): 0.125 in metrics.json")
    ship(tmp_path, table, metrics)
    assert rows_by_figures(tmp_path)["grouped"].values == metrics["grouped"]["values"]
    assert reproduction.check(tmp_path) == []


def rows_by_figures(root) -> dict[str, Row]:
    return {row.figures: row for row in all_rows(root) if row.recipe.id == RECIPE.id}


# Tables


def test_the_page_shows_values_intervals_and_counts(metrics):
    metrics = copy.deepcopy(metrics)
    values = metrics["grouped"]["values"]
    values["accuracy"] = {"value": 0.81, "low": 0.7123, "high": 0.9}
    values["mcc"] = {"value": None, "low": None, "high": None}
    page = tables.page(rows_of(RECIPE, metrics))
    cells = markdown_cells(page, "| `busi-mobilenetv2` | grouped split")
    assert cells[2:4] == ["40 (20)", "0.810 (0.712 to 0.900)"]
    assert cells[6] == "undefined"
    assert markdown_cells(page, "| Accuracy |")[1] == "0.82"
    assert markdown_cells(page, "| Accuracy |")[3] == cells[3]
    assert markdown_cells(page, "|  | paper")[1:] == [
        "paper: 129", "published split: 40 (20)", "grouped split: 40 (20)",
    ]  # fmt: skip


def test_a_paper_that_trained_nothing_alike_has_no_line(metrics):
    own = RECIPE.model_copy(update={"published": {}, "published_confusion": None})
    page = tables.page(rows_of(own, {"grouped": metrics["grouped"]}))
    lines = [line for line in page.splitlines() if line.startswith("| `busi-mobilenetv2`")]
    assert [line.split("|")[2].strip() for line in lines] == ["published split", "grouped split"]
    assert markdown_cells(page, "|  |")[1:] == ["grouped split: 40 (20)"]  # of every figure
    assert "Every figure" in tables.page(rows_of(own, {}))  # and nothing below it


def test_the_page_shows_the_confusion_matrix_of_the_paper_and_of_each_protocol(metrics):
    page = tables.page(rows_of(RECIPE, metrics))
    matrices = page.split("Confusion matrix, ")[1:]
    assert [m.split(" (")[0] for m in matrices] == ["paper", "published split", "grouped split"]
    assert "| **benign** | 6 | 34 | 9 |" in matrices[0]


def test_every_metric_has_a_title_and_a_line(metrics):
    page = tables.page(rows_of(RECIPE, metrics))
    for name in metrics["grouped"]["values"]:
        title = tables.metric_title(name, RECIPE.classes)
        assert title != name
        assert f"\n| {title} |" in page


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("pr_auc_benign", "PR-AUC, benign"),
        ("npv_normal", "NPV, normal"),
        ("macro_auc", "ROC-AUC, macro"),
        ("sensitivity_ab_normal", "Sensitivity, ab_normal"),
        ("unheard_of", "unheard_of"),
    ],
)
def test_metric_titles(name, title):
    assert tables.metric_title(name, ("normal", "ab_normal", "benign")) == title


def test_of_several_malignant_classes_the_lowest_defined_figure_is_shown(metrics):
    recipe = RECIPE.model_copy(update={"malignant_classes": ("normal", "benign", "malignant")})
    values = {
        "sensitivity_normal": {"value": 0.9, "low": 0.8, "high": 1.0},
        "sensitivity_benign": {"value": 0.6, "low": 0.5, "high": 0.7},
        "sensitivity_malignant": {"value": None, "low": None, "high": None},
    }
    row = Row(recipe, "grouped", n=9, n_groups=9, values=values)
    assert markdown_cells(tables.page([row]), "| `busi")[7] == "0.600 (0.500 to 0.700)"


def test_a_recipe_without_malignant_classes_has_the_figures_that_need_none(metrics):
    recipe = RECIPE.model_copy(update={"malignant_classes": ()})
    row = Row(recipe, "grouped", n=9, n_groups=9, values=metrics["grouped"]["values"])
    assert tables.lowest(row, "accuracy") == row.values["accuracy"]
    assert tables.lowest(row, "sensitivity_{malignant}") is None


def test_the_terminal_table_fits_120_columns_and_cuts_nothing(metrics):
    long = RECIPE.model_copy(update={"id": "us9016-vgg19-efficientnetb0"})
    rows = rows_of(RECIPE, metrics) + rows_of(long, {})
    text = on_screen(rows)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 120
    figure = metrics["grouped"]["values"]["accuracy"]
    assert f"{figure['value']:.3f}" in text
    assert f"{figure['low']:.2f}–{figure['high']:.2f}" in text
    assert RECIPE.id in text
    assert long.id in text


def test_published_figures_keep_their_digits():
    text = on_screen(rows_of(load_recipe("busi-efficientnet-b0"), {}))
    assert re.search(r"paper +117 +0\.99 +– +– +– +0\.96 +0\.96", text)
    untold = on_screen(rows_of(load_recipe("bach-dalaresnet50"), {}))
    assert re.search(r"paper +– +0\.891 ", untold)
    page = tables.page(rows_of(load_recipe("busi-efficientnet-b0"), {}))
    assert markdown_cells(page, "| MSE, class index")[1] == "0.0513"
    assert markdown_cells(page, "| Precision (PPV), benign")[1] == "1.00"


# Check


def test_figures_that_the_predictions_give_are_accepted(table, metrics):
    assert reproduction.differences(metrics, table, RECIPE) == []
    nearly = copy.deepcopy(metrics)
    nearly["grouped"]["values"]["brier"]["value"] += 9e-7
    assert reproduction.differences(nearly, table, RECIPE) == []


@pytest.mark.parametrize("bound", ["value", "low", "high"])
def test_a_changed_figure_is_named(table, metrics, bound):
    changed = copy.deepcopy(metrics)
    changed["grouped"]["values"]["macro_auc"][bound] += 2e-6
    (problem,) = reproduction.differences(changed, table, RECIPE)
    assert problem.startswith(f"grouped, macro_auc ({bound}): ")


def changed_copy(metrics, change) -> dict:
    changed = copy.deepcopy(metrics)
    change(changed["published"])
    return changed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda e: e.update(n=41), "published, n: 41 in metrics.json, 40 from"),
        (lambda e: e["confusion"][0].reverse(), "published, confusion: "),
        (lambda e: e["values"].pop("mcc"), "published, mcc (value): nothing in metrics.json"),
        (lambda e: e["values"].update(luck={"value": 1.0}), "luck (value): 1.0 in metrics.json, "
         "nothing from the predictions"),
        (lambda e: e["values"]["mcc"].update(value=None), "mcc (value): None in metrics.json"),
        (lambda e: e["calibration"].update(temperature=7.0), "published, temperature: 7.0 in"),
        (lambda e: e["calibration"]["values"]["ece"].update(value=0.0), "calibrated ece (value): "),
        (lambda e: e["calibration"]["operating_point"].update(threshold=2.0),
         "threshold of the operating point: 2.0 in"),
        (lambda e: e["calibration"]["operating_point"]["sensitivity"].update(high=2.0),
         "at the operating point, sensitivity (high): 2.0 in"),
    ],
)  # fmt: skip
def test_other_contradictions_are_named(table, metrics, change, sentence):
    problems = reproduction.differences(changed_copy(metrics, change), table, RECIPE)
    assert sentence in problems[0]


def test_other_seeds_than_those_of_the_predictions_are_named(table, metrics):
    several = pd.concat([table, *(predictions(seed=n).assign(seed=3 + n) for n in (1, 2))])
    found = {p: evaluate_run(rows, RECIPE) for p, rows in several.groupby("protocol")}
    assert reproduction.differences(found, several, RECIPE) == []
    found["grouped"]["over_seeds"]["seeds"] = [3, 4, 6]
    (problem,) = reproduction.differences(found, several, RECIPE)
    assert problem.startswith("grouped, seeds: [3, 4, 6] in metrics.json, [3, 4, 5] from")


def test_predictions_without_metrics_are_named(table, metrics):
    only = {"grouped": metrics["grouped"]}
    (problem,) = reproduction.differences(only, table, RECIPE)
    assert problem == "published has predictions and no metrics."


def test_check_fails_and_names_recipe_and_metric(tmp_path, table, metrics, monkeypatch, capsys):
    check = reproduction.check
    monkeypatch.setattr(command, "check", lambda: check(tmp_path))
    ship(tmp_path, table, metrics)
    assert command.main(["--check"]) == 0
    ship(tmp_path, table, changed_copy(metrics, lambda e: e["values"]["mcc"].update(value=0.99)))
    assert command.main(["--check"]) == 1
    assert "busi-mobilenetv2: published, mcc (value): 0.99" in capsys.readouterr().err
    (tmp_path / RECIPE.id / "metrics.json").write_text("{}")
    assert command.main(["--check"]) == 1
    assert "metrics.json does not match its hash" in capsys.readouterr().err


def test_check_names_a_card_that_says_something_else(tmp_path, table, metrics):
    other = changed_copy(metrics, lambda e: e["values"]["accuracy"].update(value=0.99))
    ship(tmp_path, table, metrics, told=other)
    (problem,) = reproduction.check(tmp_path)
    assert problem.startswith("busi-mobilenetv2: The card is not that of recipe and figures.")


def test_check_names_a_run_that_was_left_out(tmp_path, table, metrics):
    ship(tmp_path, table, metrics, trained=pd.concat([table, table.assign(seed=7)]))
    assert reproduction.check(tmp_path) == [
        f"busi-mobilenetv2: {protocol}, seed 7 was trained and has no predictions."
        for protocol in ("grouped", "published")
    ]


def test_check_names_predictions_that_cannot_be_judged(tmp_path, table, metrics):
    ship(tmp_path, table.assign(label="cyst"), metrics)
    (problem,) = reproduction.check(tmp_path)
    assert problem.startswith("busi-mobilenetv2: The labels 'cyst'")


# Command line


def test_json_holds_every_row_without_nan(capsys):
    assert command.main(["--json"]) == 0
    records = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert [(r["recipe"], r["figures"]) for r in records] == [
        (recipe.id, figures)
        for recipe in sorted(list_recipes(), key=lambda one: offered(one.id))
        for figures in ("paper", "published", "grouped")
    ]
    paper = next(r for r in records if r["recipe"] == RECIPE.id)
    assert paper["values"]["accuracy"]["value"] == 0.82
    assert paper["confusion"] == [[35, 1, 1], [6, 34, 9], [2, 4, 37]]


def test_markdown_and_write_give_the_same_page(tmp_path, monkeypatch, capsys):
    """What the page says is compared below."""
    monkeypatch.setattr(command, "markdown", lambda *_: "# A page\n")
    assert command.main(["--markdown"]) == 0
    printed = capsys.readouterr().out
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(command, "PAGE", tmp_path / "docs" / "results.md")
    assert command.main(["--write"]) == 0
    assert command.PAGE.read_text(encoding="utf-8") == printed == "# A page\n"


def test_the_table_is_printed_without_arguments(capsys):
    assert command.main([]) == 0
    assert "busi-mobilenetv2" in capsys.readouterr().out


# What is shipped


@pytest.mark.skipif(not list_trained(), reason="no trained system is shipped yet")
def test_the_shipped_predictions_give_the_shipped_figures():
    assert reproduction.check() == []


@pytest.mark.skipif(not list_trained(), reason="no trained system is shipped yet")
def test_the_page_in_docs_is_current():
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run: make results"
