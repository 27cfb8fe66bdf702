"""Recipes are data: the shipped files are valid, and mistakes in them are told, not defaulted."""

from __future__ import annotations

import pytest
import tomli_w
from pydantic import ValidationError

from core import recipes
from core.datasets import READERS
from core.networks import networks
from core.recipe import TORCH_ALONE, RecipeError
from core.recipes import comparison, list_recipes, load_recipe, parse_recipe, recipe_file

SHIPPED = sorted(path.stem for path in recipes.RECIPES.glob("*.toml"))
WITH_CONFUSION = [recipe.id for recipe in list_recipes() if recipe.published_confusion]


def as_dict() -> dict:
    return list_recipes()[0].model_dump(mode="json", exclude_none=True)


def error_of(changed: dict) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(tomli_w.dumps(changed), "changed.toml")
    message = str(caught.value)
    assert message.startswith("changed.toml ")
    assert message.endswith(".")
    return message


def test_every_file_is_listed():
    assert SHIPPED
    assert [recipe.id for recipe in list_recipes()] == SHIPPED


@pytest.mark.parametrize("recipe_id", SHIPPED)
def test_shipped_file_is_valid_and_named_after_its_id(recipe_id: str):
    recipe = load_recipe(recipe_id)
    assert recipe.id == recipe_file(recipe_id).stem == recipe_id
    assert sum(recipe.data.fractions) == pytest.approx(1)
    assert len(set(recipe.classes)) == len(recipe.classes)
    assert set(recipe.malignant_classes) < set(recipe.classes)
    assert recipe.limits, "a system without known limits is not honest"


@pytest.mark.parametrize("recipe_id", WITH_CONFUSION)
def test_published_confusion_fits_classes_and_accuracy_or_the_recipe_tells(recipe_id: str):
    recipe = load_recipe(recipe_id)
    confusion = recipe.published_confusion
    assert {len(confusion), *map(len, confusion)} == {len(recipe.classes)}
    right = sum(confusion[i][i] for i in range(len(confusion)))
    accuracy = right / sum(map(sum, confusion))
    fits = accuracy == pytest.approx(recipe.published["accuracy"], abs=0.006)
    assert fits or f"{100 * accuracy:.2f} %" in " ".join(recipe.departures)  # a paper's own slip


@pytest.mark.parametrize("recipe_id", SHIPPED)
def test_survives_writing_and_reading(recipe_id: str):
    recipe = load_recipe(recipe_id)
    text = tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
    assert parse_recipe(text) == recipe


@pytest.mark.parametrize("section", ["augmentation", "preprocessing", "training", "data", "source"])
def test_misspelt_key_is_named(section: str):
    changed = as_dict()
    changed[section]["rotatoin"] = 1
    assert f"'{section}.rotatoin'" in error_of(changed)


def test_misspelt_key_of_a_phase_is_named():
    changed = as_dict()
    changed["training"]["phases"][0]["epoch"] = 3
    assert "'training.phases.0.epoch'" in error_of(changed)


def test_misspelt_parameter_of_a_network_is_named():
    changed = as_dict()
    changed["architecture"]["parameters"] = {"dropuot": 0.5}
    assert "has no dropuot; it has dropout" in error_of(changed)


def test_missing_field_is_named():
    changed = as_dict()
    del changed["preprocessing"]["size"]
    assert "'preprocessing.size'" in error_of(changed)


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("augmentation", "horizontal_flip", 1.5),
        ("augmentation", "hue", -0.1),
        ("augmentation", "applies_to", "some"),
        ("preprocessing", "value_range", "percent"),
        ("preprocessing", "size", [224, 0]),
        ("training", "batch_size", 0),
        ("training", "optimizer", "adm"),
        ("training", "phases", []),
        ("architecture", "framework", "jax"),
    ],
)
def test_impossible_value_is_named(section: str, field: str, value: object):
    changed = as_dict()
    changed[section][field] = value
    assert f"'{section}.{field}" in error_of(changed)


def test_fractions_that_do_not_sum_to_one_are_told():
    changed = as_dict()
    changed["data"]["fractions"] = [0.7, 0.2, 0.2]
    message = error_of(changed)
    assert "'data'" in message
    assert "fractions (0.7, 0.2, 0.2) do not sum to 1" in message


def test_negative_fraction_is_named():
    changed = as_dict()
    changed["data"]["fractions"] = [0.7, 0.5, -0.2]
    assert "'data.fractions.2'" in error_of(changed)


def test_unknown_malignant_class_is_told():
    changed = as_dict()
    changed["malignant_classes"] = ["sarcoma"]
    message = error_of(changed)
    assert "malignant_classes" in message
    assert "'sarcoma'" in message
    assert all(name in message for name in changed["classes"])


def test_slower_stages_are_refused_where_all_learn_at_one_rate():
    changed = load_recipe("busi-mobilenetv2").model_dump(mode="json", exclude_none=True)
    changed["training"]["phases"][0]["stage_decay"] = 0.5
    assert "stage_decay: not for networks of Keras" in error_of(changed)
    assert load_recipe("mammography-dalaresnet50").training.phases[0].stage_decay < 1


def test_text_that_is_no_toml_is_told():
    with pytest.raises(RecipeError, match="odd.toml is not valid TOML"):
        parse_recipe("id = ", "odd.toml")


@pytest.mark.parametrize("name", ["no-such-system", "", "../recipe", f"../recipes/{SHIPPED[0]}"])
def test_unknown_id_lists_the_known_ones(name: str):
    with pytest.raises(RecipeError) as caught:
        load_recipe(name)
    assert all(known in str(caught.value) for known in SHIPPED)


def test_id_and_file_name_must_agree(tmp_path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "renamed.toml").write_text(tomli_w.dumps(as_dict()), encoding="utf-8")
    monkeypatch.setattr(recipes, "RECIPES", tmp_path)
    with pytest.raises(RecipeError, match="renamed.toml names itself"):
        load_recipe("renamed")


def test_recipes_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        list_recipes()[0].title = "another"


# --- Comparison runs ---------------------------------------------------------------------------


@pytest.mark.parametrize("network", sorted(networks()))
def test_any_recipe_takes_any_network(network: str):
    for recipe in list_recipes():
        compared = load_recipe(f"{recipe.id}+{network}")
        assert compared.id == f"{recipe.id}+{network}"
        assert compared.architecture.name == network
        assert compared.architecture.framework == networks()[network].framework
        assert compared.preprocessing.value_range == networks()[network].value_range
        assert compared.published == {}
        assert compared.published_images is None and compared.published_confusion is None
        text = tomli_w.dumps(compared.model_dump(mode="json", exclude_none=True))
        assert parse_recipe(text) == compared


def test_a_comparison_changes_the_network_and_nothing_else_of_the_method():
    recipe, compared = load_recipe("busi-mobilenetv2"), load_recipe("busi-mobilenetv2+vgg16")
    ours, theirs = recipe.method(), compared.method()
    assert theirs["architecture"]["parameters"] == {"dropout": 0.5}  # 1024 dense units are not its
    assert theirs["preprocessing"].pop("value_range") == "imagenet"
    assert ours["preprocessing"].pop("value_range") == "signed"
    assert {key for key in ours if ours[key] != theirs[key]} == {"architecture"}
    assert all("VGG16" in told for told in (compared.title, compared.summary))
    (only,) = compared.departures
    assert "VGG16" in only and "`busi-mobilenetv2`" in only


def test_limits_of_the_data_hold_for_any_network_and_those_of_a_training_do_not():
    recipe, compared = (
        load_recipe(f"mammography-dalaresnet50{more}") for more in ("", "+densenet121")
    )
    assert "Two other schedules were judged" in " ".join(recipe.limits)
    assert set(compared.limits) < set(recipe.limits)
    assert any("microcalcifications" in limit for limit in compared.limits)
    of_trainings = ("Not trained here", "weights were not kept", "schedules", "see its figures")
    for one in list_recipes():
        told = " ".join(load_recipe(f"{one.id}+vgg16").limits)
        assert told and not any(words in told for words in of_trainings)


def test_layers_of_the_papers_own_network_are_not_asked_of_another():
    recipe = load_recipe("us9016-vgg19-efficientnetb0")
    assert any(isinstance(phase.trainable, tuple) for phase in recipe.training.phases)
    compared = load_recipe(f"{recipe.id}+googlenet")
    assert [phase.trainable for phase in compared.training.phases] == ["all", "all", "head"]
    rates = [phase.learning_rate for phase in recipe.training.phases]
    assert [phase.learning_rate for phase in compared.training.phases] == rates


@pytest.mark.parametrize(
    ("recipe_id", "told"),
    [
        (
            "busi-multitask+mobilenetv2",
            ["Left out of its training: the second task, averaging of weights, label smoothing, "
             "class weights, batch norms that keep ImageNet's statistics, lower rates of earlier "
             "stages."],
        ),
        (
            "busi-multitask+vgg16",
            ["Left out of its training: the second task, batch norms that keep ImageNet's "
             "statistics."],
        ),
        (
            "us9016-vgg19-efficientnetb0+vgg16",
            ["Phase 1 trains all layers: those that the recipe names are its own network's."],
        ),
        ("histology-dalaresnet50+vgg16", []),
    ],
)  # fmt: skip
def test_a_comparison_tells_what_its_training_does_without(recipe_id: str, told: list[str]):
    """And nothing that its recipe tells of its own network: no decoder, no frozen networks."""
    assert list(load_recipe(recipe_id).departures[1:]) == told


def test_every_setting_that_a_comparison_may_lose_has_a_name():
    assert comparison._TOLD.keys() == TORCH_ALONE.keys()


def test_comparisons_are_no_recipes_of_their_own():
    assert not [recipe.id for recipe in list_recipes() if "+" in recipe.id]
    with pytest.raises(RecipeError, match="no network 'vgg13'.*vgg16"):
        load_recipe("busi-mobilenetv2+vgg13")
    with pytest.raises(RecipeError, match="no recipe 'unheard-of'"):
        load_recipe("unheard-of+vgg16")


# --- Figures of papers -------------------------------------------------------------------------


def test_dalaresnet50_is_as_wide_as_the_paper_counts_it():
    """25,611,842 parameters for two classes (r = 4), 24,042,692 for four and 24,040,643 for three
    (r = 16); see test_dalaresnet50."""
    reductions = {
        recipe.id: (len(recipe.classes), recipe.architecture.parameters["reduction"])
        for recipe in list_recipes()
        if recipe.source.url.endswith("2308.13150") and not recipe.id.startswith(("hist", "mammo"))
    }
    assert reductions == {
        "bach-dalaresnet50": (4, 16),
        "breakhis-100-dalaresnet50": (2, 4),
        "breakhis-200-dalaresnet50": (2, 4),
        "breakhis-40-dalaresnet50": (2, 4),
        "breakhis-400-dalaresnet50": (2, 4),
        "mini-ddsm-dalaresnet50": (3, 16),
    }


def test_what_the_recipe_says_of_the_papers_figures_holds():
    """BreakHis at 40X: the F1 printed follows from the other figures, IBA and GMean do not."""
    figures = load_recipe("breakhis-40-dalaresnet50").published
    recall = {"benign": figures["specificity_malignant"], "malignant": 0.985}
    precision = {"benign": figures["npv_malignant"], "malignant": 0.993}
    f1 = {name: 2 / (1 / recall[name] + 1 / precision[name]) for name in recall}
    weighted = (625 * f1["benign"] + 1370 * f1["malignant"]) / 1995
    assert weighted == pytest.approx(figures["weighted_f1"], abs=6e-4)
    product = recall["benign"] * recall["malignant"]
    assert round(product**0.5, 3) == 0.984 != figures["gmean"]
    assert round(product, 3) == 0.969 != figures["iba"]
    for name in ("bach-dalaresnet50", "mini-ddsm-dalaresnet50"):
        others = load_recipe(name).published
        assert others["iba"] > 1.1 * others["gmean"] ** 2


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.id)
def test_every_recipe_reads_a_data_set_that_there_is_and_its_classes(recipe):
    reader = READERS[recipe.data.dataset]
    assert set(recipe.classes) <= set(reader.classes)


def test_variants_differ_from_their_recipe_in_what_their_name_says():
    main = load_recipe("busi-efficientnetv2b0").method()
    changes = {
        "whole": {"preprocessing"},
        "normal": {"classes"},
        "normal-whole": {"classes", "preprocessing"},
        "imbalanced": {"training"},
    }
    for name, expected in changes.items():
        variant = load_recipe(f"busi-efficientnetv2b0-{name}").method()
        assert {key for key in main if main[key] != variant[key]} == expected
