"""What ``core`` asks of the libraries before they are imported is what they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
LARGE = """
import core, torch
tensor = torch.ones(64, 2**18)
print(next(one for one in open("/proc/self/smaps_rollup") if one.startswith("AnonHugePages")))
"""


@pytest.mark.skipif(
    not PAGES.exists() or "[never]" in PAGES.read_text(), reason="this system has no large pages"
)
def test_tensors_lie_in_large_pages():
    """64 MB, of which the first and last page may be small."""
    done = subprocess.run(
        [sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) >= 60 * 1024
