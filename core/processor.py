"""What the processor is good at."""

from __future__ import annotations

from functools import cache


@cache
def has_bfloat16_matrix_units() -> bool:
    """Whether it multiplies bfloat16 matrices in hardware of its own (AMX; Linux tells).

    Processors with AVX-512 BF16 only were measured to gain nothing.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as info:  # noqa: PTH123
            return "amx_bf16" in info.read()
    except OSError:
        return False
