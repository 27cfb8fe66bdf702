"""The command line of training: real runs of one epoch on a generated folder."""

from __future__ import annotations

import shutil
from itertools import combinations
from pathlib import Path

import pytest
from histology import FIELDS, PATIENTS, write_breakhis

import train
from core.checkpoints import (
    CHECKPOINTS,
    FIGURES_ONLY,
    SHORTENED,
    judged,
    list_trained,
    open_checkpoint,
)
from core.recipes import list_recipes, load_recipe
from core.results.reproduction import check
from core.systems import weights_facts
from core.torch_compat import import_timm
from core.training.run import shorten

RECIPE = "breakhis-40-dalaresnet50"
WITH_WEIGHTS = "busi-mobilenetv2"


@pytest.fixture
def data(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A folder to read, and a working directory to write to."""
    monkeypatch.chdir(tmp_path)
    return write_breakhis(tmp_path / "breakhis")


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command train on images of 64 x 64, each for an epoch a phase."""

    def load(recipe_id: str):
        recipe = load_recipe(recipe_id)
        preprocessing = recipe.preprocessing.model_copy(update={"size": (64, 64)})
        return shorten(recipe.model_copy(update={"preprocessing": preprocessing}), 1)

    monkeypatch.setattr(train, "load_recipe", load)


def test_a_comparison_run_stays_away_from_the_shipped_systems(data, monkeypatch, tmp_path):
    small(monkeypatch)
    root = tmp_path / "comparisons"
    monkeypatch.setattr(train, "FROM_SCRATCH", tmp_path)
    shipped = {path: path.stat().st_mtime_ns for path in CHECKPOINTS.rglob("*")}
    options = ["--data", str(data), "--from-scratch"]
    assert train.main([RECIPE, "--architecture", "googlenet", *options]) == 0
    assert {path: path.stat().st_mtime_ns for path in CHECKPOINTS.rglob("*")} == shipped
    assert list_trained(root) == (f"{RECIPE}+googlenet",)
    checkpoint = open_checkpoint(f"{RECIPE}+googlenet", root)
    assert checkpoint.recipe.architecture.name == "googlenet"
    assert len(checkpoint.predictions()) == PATIENTS * FIELDS
    assert checkpoint.load().layers[-1] == "inception5"
    # Rewriting its card finds it in the same place.
    card = checkpoint.folder / "card.md"
    card.unlink()
    refresh = [RECIPE, "--architecture", "googlenet", "--refresh"]
    assert train.main([*refresh, "--from-scratch"]) == 0 and card.is_file()


def test_a_histology_recipe_trains_on_the_published_layout(data, monkeypatch, tmp_path):
    small(monkeypatch)
    options = ["--data", str(data), "--from-scratch", "--output", str(tmp_path)]
    assert train.main([RECIPE, *options]) == 0
    checkpoint = open_checkpoint(RECIPE, tmp_path)
    assert checkpoint.metrics["grouped"]["n"] > 0
    splits = checkpoint.predictions().groupby("group")["split"].nunique()
    assert len(splits) == PATIENTS and (splits == 1).all()


@pytest.mark.parametrize("more", [[], ["--from-scratch"], ["--architecture", "googlenet"]])
def test_a_shortened_run_stays_away_from_the_shipped_systems(more):
    options = train._parse([RECIPE, "--epochs", "1", *more])
    assert SHORTENED in (options.output, *options.output.parents)
    assert CHECKPOINTS not in SHORTENED.parents
    assert train._parse([RECIPE, "--epochs", "1", *more, "--output", "x"]).output == Path("x")


def test_no_two_kinds_of_run_share_a_folder():
    """Else figures alone, or random weights, would take the place of a network that took hours."""
    kinds = (["--epochs", "1"], ["--from-scratch"], ["--architecture", "vgg16"])
    asked = [sum(chosen, []) for n in range(4) for chosen in combinations(kinds, n)]
    runs = [train._parse([RECIPE, *more]) for more in asked]
    figures = [train._parse([RECIPE, *more, "--figures-only"]) for more in asked]
    assert len({one.output for one in (*runs, *figures)}) == 16
    assert len({train._runs(one) for one in runs}) == 8
    assert figures[0].output == CHECKPOINTS / "figures"


def test_figures_alone_never_take_the_place_of_weights(monkeypatch, tmp_path, capsys):
    """Told before anything is read: there is no such data set."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(CHECKPOINTS / WITH_WEIGHTS, tmp_path / "mine" / WITH_WEIGHTS)
    options = ["--data", "nowhere", "--figures-only", "--output", "mine"]
    assert train.main([WITH_WEIGHTS, *options]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "which --figures-only would throw away" in said and "--output" in said


def test_the_state_of_a_trial_is_kept_apart_from_that_of_a_whole_run():
    """Else a run of one epoch would forget an hour's that was interrupted."""
    trials = [["--epochs", "1"], ["--from-scratch"], ["--epochs", "1", "--from-scratch"]]
    states = [train._runs(train._parse([RECIPE, *more])) for more in ([], *trials)]
    assert states[0] not in states[1:] and states[1] != states[2]


@pytest.mark.parametrize("more", [["--output", "mine"], ["--tune", "1"]])
def test_without_imagenets_weights_nothing_is_trained(data, monkeypatch, capsys, more):
    """As with a typing error in the setting, offline: a checkpoint would claim they were there."""
    small(monkeypatch)
    monkeypatch.setenv("LESIONLENS_WEIGHTS", str(data))
    monkeypatch.setattr(import_timm(), "create_model", offline(import_timm().create_model))
    assert train.main([RECIPE, "--data", str(data), *more]) == 2
    assert "No ImageNet weights of resnet50 were found" in " ".join(capsys.readouterr().err.split())
    assert list_trained(Path("mine")) == ()


def offline(create):
    """timm's function, as it is where no hub can be reached."""

    def refuse(*arguments, pretrained: bool = False, **settings):
        if pretrained:
            raise OSError("no such host")
        return create(*arguments, **settings)

    return refuse


@pytest.mark.slow
def test_figures_are_kept_without_weights(data, monkeypatch, tmp_path):
    """One folder for both splits; the paper counts 25,611,842 parameters."""
    small(monkeypatch)
    monkeypatch.setattr(train, "FROM_SCRATCH", tmp_path)
    shipped = {path: path.stat().st_mtime_ns for path in CHECKPOINTS.rglob("*")}
    options = ["--data", str(data), "--from-scratch", "--figures-only"]
    for protocol in ("published", "grouped"):
        assert train.main([RECIPE, *options, "--protocol", protocol]) == 0
    assert list_trained(tmp_path) == ()
    found = judged(tmp_path)[RECIPE]
    assert found.folder.parent == tmp_path / "figures" and not found.has_weights
    assert sorted(p.name for p in found.folder.iterdir()) == [
        "card.md", "history.csv", "manifest.json", "metrics.json", "predictions.parquet",
        "recipe.toml",
    ]  # fmt: skip
    assert set(found.metrics) == {"published", "grouped"}
    assert weights_facts(found.folder) == {"parameters": 25_611_842}
    assert check(tmp_path) == []
    refreshed = [RECIPE, "--refresh", "--output", str(found.folder.parent)]
    assert train.main(refreshed) == 0
    # A run with weights may follow in the same folder, and joins the figures.
    again = ["--data", str(data), "--from-scratch", "--output"]
    assert train.main([RECIPE, *again, str(found.folder.parent)]) == 0
    joined = judged(tmp_path)[RECIPE]
    assert joined.has_weights and set(joined.metrics) == {"published", "grouped"}
    assert {path: path.stat().st_mtime_ns for path in CHECKPOINTS.rglob("*")} == shipped


def test_tuning_prints_sections_of_a_recipe(data, monkeypatch, capsys):
    small(monkeypatch)
    options = ["--architecture", "googlenet", "--data", str(data)]
    assert train.main([RECIPE, *options, "--from-scratch", "--tune", "1"]) == 0
    printed = capsys.readouterr().out
    assert "validation loss" in printed
    assert f"# {RECIPE}+googlenet: best of 1 settings" in printed
    assert "[architecture]" in printed and "[[training.phases]]" in printed


def test_every_recipe_is_listed(capsys, monkeypatch):
    monkeypatch.setattr(train.console, "width", 120)
    assert train.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    trained, figures = list_trained(), list_trained(CHECKPOINTS / FIGURES_ONLY)
    for recipe in list_recipes():
        (line,) = [line for line in lines if line.split()[:1] == [recipe.id]]
        judged = "figures" if recipe.id in figures else "no"
        assert line.split()[-1] == ("yes" if recipe.id in trained else judged)


def test_the_real_samples_of_breakhis_train(data_folder, monkeypatch, tmp_path):
    """13 of the 30 are of 40X: one epoch."""
    small(monkeypatch)
    samples = data_folder / "breakhis_samples"
    if not samples.is_dir():
        pytest.skip("no samples of BreaKHis here")
    monkeypatch.chdir(tmp_path)
    options = ["--data", str(samples), "--from-scratch", "--output", str(tmp_path)]
    assert train.main([RECIPE, *options]) == 0
    predictions = open_checkpoint(RECIPE, tmp_path).predictions()
    assert predictions["label"].value_counts().to_dict() == {"benign": 8, "malignant": 5}


def stop(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("earlier", [False, True])
def test_ctrl_c_before_the_first_epoch_promises_nothing(data, monkeypatch, capsys, earlier):
    small(monkeypatch)
    options = [RECIPE, "--data", str(data), "--from-scratch", "--output", "out"]
    if earlier:  # a run that --resume would take up
        assert train.main(options) == 0
    capsys.readouterr()
    with monkeypatch.context() as patched:
        patched.setattr("core.training.run.read_table", stop)
        assert train.main(options) == 130
    said = " ".join(capsys.readouterr().err.split())
    assert "nothing of this run is kept" in said and "--resume" not in said
    assert ("An earlier run is left as it was" in said) == earlier
    with monkeypatch.context() as patched:
        patched.setattr("core.training.run.train", stop)
        assert train.main(options) == 130
    said = " ".join(capsys.readouterr().err.split())
    assert said.endswith("nothing of this run is kept.")
    assert train.main([*options, "--resume"]) == 2


def test_ctrl_c_after_an_epoch_tells_how_to_go_on(data, monkeypatch, capsys):
    small(monkeypatch)
    options = [RECIPE, "--data", str(data), "--from-scratch", "--output", "out"]
    sentence = "Interrupted. The last full epoch is kept; go on with --resume."
    for more, where in (([], "make_result"), (["--resume"], "read_table")):
        with monkeypatch.context() as patched:
            patched.setattr(f"core.training.run.{where}", stop)
            assert train.main([*options, *more]) == 130
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert train.main([*options, "--resume"]) == 0


def test_ctrl_c_while_a_card_is_rewritten_names_no_epoch(monkeypatch, capsys):
    monkeypatch.setattr("core.training.result.refresh", stop)
    assert train.main([WITH_WEIGHTS, "--refresh"]) == 130
    assert capsys.readouterr().err.strip() == (
        "Interrupted. No file is half written; give the same command again."
    )


def test_too_few_images_are_told(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    folder = write_breakhis(tmp_path / "few", patients=4)
    assert train.main([RECIPE, "--data", str(folder), "--from-scratch"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "8 images in 4 groups are too few to split: none is left for validation" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unheard-of", "--architecture", "vgg16"], "There is no recipe 'unheard-of'"),
        (["busi-mobilenetv2+vgg13"], "There is no network 'vgg13'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, message, capsys):
    assert train.main(arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--epochs", "abc", "argument --epochs: give a whole number of at least 1"),
        ("--epochs", "0", "argument --epochs: give a whole number of at least 1"),
        ("--tune", "1.5", "argument --tune: give a whole number of at least 1"),
        ("--seed", "-1", "argument --seed: give a whole number from 0 to 4000000"),
        ("--seed", str(2**40), "argument --seed: give a whole number from 0 to 4000000"),
    ],
)
def test_what_is_no_number_is_told_in_a_sentence(option, text, message, capsys):
    with pytest.raises(SystemExit):
        train.main(["busi-mobilenetv2", f"{option}={text}"])
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--refresh", "--data", "x", "--seed", "1"], "--refresh goes without --data, --seed"),
        (["--refresh", "--tune", "3"], "--refresh goes without --tune"),
        (["--refresh", "--resume"], "--refresh goes without --resume"),
        (["--refresh", "--protocol", "published"], "--refresh goes without --protocol"),
        (["--tune", "3", "--resume"], "--tune goes without --resume"),
        (["--tune", "3", "--figures-only"], "--tune goes without --figures-only"),
        (["--tune", "3", "--output", "x"], "--tune goes without --output"),
    ],
)
def test_options_that_have_no_say_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        train.main(["busi-mobilenetv2", *arguments])
    assert message in " ".join(capsys.readouterr().err.split())


def test_no_recipe_gets_two_other_networks(capsys):
    with pytest.raises(SystemExit):
        train.main(["busi-mobilenetv2+vgg16", "--architecture", "vgg19"])
    said = " ".join(capsys.readouterr().err.split())
    assert "'busi-mobilenetv2+vgg16' names its network already; leave --architecture out" in said


def test_a_network_beside_the_list_does_no_harm(capsys):
    assert train.main(["--list", "--architecture", "vgg16"]) == 0
    assert "busi-mobilenetv2" in capsys.readouterr().out


def test_an_unknown_network_lists_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        train.main(["busi-mobilenetv2", "--architecture", "vgg13"])
    assert "'vgg16'" in capsys.readouterr().err
