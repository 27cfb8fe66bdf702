"""The arrows of the design run one way: read from the source, lazy imports included."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "core").rglob("*.py"))
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").rglob("*.py"))]
FRAMEWORKS = {"torch", "torchvision", "tensorflow", "keras", "timm"}

# Package -> what it must not reach, in any number of steps.
ABOVE = {
    "core.recipe": ("core.recipes", "core.architectures", "core.classifiers", "core.training"),
    "core.recipes": ("core.architectures", "core.classifiers", "core.training", "core.evaluation"),
    "core.architectures": ("core.classifiers", "core.explain", "core.training", "core.evaluation"),
    "core.classifiers": ("core.explain", "core.training", "core.evaluation"),
    "core.explain": ("core.training", "core.evaluation"),
    "core.statistics": ("core.datasets", "core.classifiers", "core.evaluation"),
    "core.datasets": ("core.classifiers", "core.evaluation", "core.guard", "core.training"),
    "core.guard": ("core.evaluation", "core.predict", "core.training"),
    "core.evaluation": ("core.predict", "core.results", "core.training"),
    "core.outlining": ("core.predict", "core.results"),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names that a file imports anywhere in it, ``import_module`` of a text included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, path)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call):
            found |= _dynamic(node)
    return frozenset(found)


def _absolute(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module
    parents = path.relative_to(ROOT).parent.parts
    base = parents[: len(parents) - node.level + 1]
    return ".".join((*base, *filter(None, [node.module])))


def _dynamic(node: ast.Call) -> set[str]:
    """The literal start of ``import_module("...")`` or ``import_module(f"...{x}")``."""
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if called not in ("import_module", "__import__") or not node.args:
        return set()
    text, package_of = node.args[0], lambda name: name
    if isinstance(text, ast.JoinedStr):
        text, package_of = text.values[0], lambda name: name.rpartition(".")[0]
    assert isinstance(text, ast.Constant), "an import whose name cannot be read from the source"
    return {package_of(text.value)}


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


FILES = {module_name(path): path for path in CORE}


@cache
def reached_from(package: str) -> dict[str, str]:
    """Modules of core that a package's files reach, each with the module that asks for it."""
    waiting = [name for name in FILES if within(name, package)]
    reached: dict[str, str] = {}
    seen = set(waiting)
    while waiting:
        module = waiting.pop()
        for name in imports(FILES[module]):
            if not within(name, "core"):
                continue
            reached.setdefault(name, module)
            if name in FILES and name not in seen:
                seen.add(name)
                waiting.append(name)
    return reached


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_check():
    assert {"core.recipe", "core.explain.grad_cam", "core.classifiers.base"} <= FILES.keys()
    assert len(PAGES) > 1
    # Lazy, relative and dynamic imports are seen.
    assert "core.explain.overlay" in imports(ROOT / "core" / "predict" / "__main__.py")
    assert "core.classifiers" in imports(ROOT / "core" / "classifiers" / "__init__.py")
    assert "core.classifiers" in reached_from("core.predict")


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_core_never_imports_streamlit_or_pages(path: Path):
    assert not {"streamlit", "pages", "app"} & roots(path)


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_pages_leave_networks_and_pixels_to_core(path: Path):
    assert not (FRAMEWORKS | {"cv2", "PIL", "pydicom"}) & roots(path)


@pytest.mark.parametrize("path", sorted((ROOT / "core" / "explain").rglob("*.py")), ids=name_of)
def test_explanations_know_only_the_interface(path: Path):
    assert not (FRAMEWORKS & roots(path))
    allowed = ("core.classifiers.base", "core.explain")
    # "from core.classifiers.base import Target" also reads as the name of a module.
    strangers = [
        name
        for name in imports(path)
        if within(name, "core") and not any(within(name, one) for one in allowed)
    ]
    assert not strangers


@pytest.mark.parametrize("package", ABOVE)
def test_arrows_run_one_way(package: str):
    wrong = {
        name: asker
        for name, asker in reached_from(package).items()
        if any(within(name, above) for above in ABOVE[package])
    }
    assert not wrong, f"{package} reaches what stands above it (name: asked for by)"


def part_of(module: str) -> str:
    """The part of core that a module is in: a package, or a file of its own."""
    return ".".join(module.split(".")[:2])


def test_no_two_parts_of_core_need_each_other():
    needs: dict[str, set[str]] = {}
    for module, path in FILES.items():
        if not module.endswith("__main__"):  # a command stands above what it calls
            asked = {part_of(name) for name in imports(path) if within(name, "core")}
            needs.setdefault(part_of(module), set()).update(asked - {part_of(module), "core"})
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize(
    "module", ["core.predict", "core.recipe", "core.checkpoints", "core.datasets", "core.explain"]
)
def test_heavy_libraries_wait_until_they_are_needed(module: str):
    heavy = FRAMEWORKS | {"streamlit"}
    code = f"import {module}, sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr
