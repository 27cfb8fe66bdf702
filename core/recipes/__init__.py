"""The recipes, one TOML file each: adding a system is adding a file."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from core.recipe import Recipe, RecipeError
from core.recipes.comparison import COMPARED, compare

RECIPES = Path(__file__).parent


def parse_recipe(text: str, name: str = "recipe") -> Recipe:
    """Validate the text of a TOML file. Raises RecipeError naming file and field."""
    try:
        return Recipe(**tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name} is not valid TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"field '{field}'" if field else "the recipe"
        raise RecipeError(f"{name} is not a valid recipe: {where}: {first['msg']}.") from error


def recipe_file(recipe_id: str) -> Path:
    """The TOML file of a recipe. Raises RecipeError for an unknown id."""
    path = RECIPES / f"{recipe_id}.toml"
    if path.stem != recipe_id or not path.is_file():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise RecipeError(f"There is no recipe '{recipe_id}'. Choose one of: {known}.")
    return path


@lru_cache(maxsize=256)
def load_recipe(recipe_id: str) -> Recipe:
    """The recipe with this id; ``<recipe>+<network>`` is that recipe with another network.

    Raises RecipeError if it is unknown or not valid.
    """
    base, compared, network = recipe_id.partition(COMPARED)
    if compared:
        return compare(load_recipe(base), network)
    path = recipe_file(recipe_id)
    recipe = parse_recipe(path.read_text(encoding="utf-8"), path.name)
    if recipe.id != recipe_id:
        raise RecipeError(f"{path.name} names itself '{recipe.id}'; id and file name must agree.")
    return recipe


def list_recipes() -> tuple[Recipe, ...]:
    """All recipes, sorted by id."""
    return tuple(load_recipe(name) for name in sorted(path.stem for path in RECIPES.glob("*.toml")))
