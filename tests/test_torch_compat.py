"""timm imports beside any build of torchvision. Each case runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

FROM_MANY_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from core import torch_compat

barrier = Barrier(8)

def load(_):
    barrier.wait()
    return torch_compat.import_timm()

with ThreadPoolExecutor(8) as pool:
    modules = set(pool.map(load, range(8)))
(timm,) = modules
import torch
assert all(hasattr(torch.ops.torchvision, name) for name in ("nms", "qnms"))
assert len(torch_compat._declarations) <= 1
declared = len(torch_compat._declarations)
assert torch_compat.import_timm() is timm
assert len(torch_compat._declarations) == declared
print(timm.create_model("tf_efficientnet_b0").num_classes)
"""

# Were an operator defined twice, torch would raise; the argument's name tells whose it is.
ALREADY_THERE = """
import torch
from core import torch_compat

torch_compat._load_compiled_torchvision = lambda torch: None
mine = torch.library.Library("torchvision", "FRAGMENT")
for name in {names}:
    mine.define(name + "(Tensor mine, Tensor scores, float iou_threshold) -> Tensor")
torch_compat._declare_missing_operators()
torch_compat._declare_missing_operators()
print(len(torch_compat._declarations), end=" ")
for name in ("nms", "qnms"):
    schema = getattr(torch.ops.torchvision, name).default._schema
    print(schema.arguments[0].name, end=" ")
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_several_threads_may_import_at_once():
    assert run(FROM_MANY_THREADS) == "1000"


def test_what_exists_is_not_redefined():
    assert run(ALREADY_THERE.format(names=["nms", "qnms"])) == "0 mine mine"


def test_only_what_lacks_is_declared():
    assert run(ALREADY_THERE.format(names=["nms"])) == "1 mine dets"


def test_importing_the_module_is_light():
    code = "import core.torch_compat, sys; print({'torch', 'timm'} & set(sys.modules))"
    assert run(code) == "set()"
