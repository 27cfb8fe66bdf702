"""Which processors are fast in bfloat16, from what Linux tells of them."""

from __future__ import annotations

import pytest

from core.processor import _multiplies_fast


@pytest.mark.parametrize(
    ("info", "fast"),
    [
        ("vendor_id : GenuineIntel\nflags : avx512f avx512_bf16 amx_bf16 amx_tile", True),
        ("vendor_id : AuthenticAMD\nflags : avx512f avx512_bf16 avx512_vnni", True),
        ("vendor_id : GenuineIntel\nflags : avx512f avx512_bf16", False),
        ("vendor_id : AuthenticAMD\nflags : avx2 fma", False),
    ],
    ids=["Sapphire Rapids", "Zen 4", "Cooper Lake", "Zen 3"],
)
def test_matrix_units_or_amds_instructions_make_it_fast(info: str, fast: bool):
    assert _multiplies_fast(info) is fast
