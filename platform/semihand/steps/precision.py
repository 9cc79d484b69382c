"""In which numbers networks compute while they learn; weights and losses stay single precision."""

import contextlib
from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["auto", "bf16", "fp32"]  # auto: bf16 where the machine multiplies it fast


def in_precision(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Where networks compute in this precision: every GPU, and CPUs with AVX-512 BF16 or AMX, are fast in bf16."""
    if precision == "auto":
        fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
        precision = "bf16" if fast else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
