"""In which numbers networks compute while they learn; weights and losses stay single precision."""

import contextlib
from typing import Literal, TypeAlias

import torch

Precision: TypeAlias = Literal["auto", "bf16", "fp32"]  # auto: bf16 where the machine multiplies it fast


def in_precision(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Where networks compute in this precision: GPUs from Ampere on and CPUs with AVX-512 BF16 or AMX have bf16."""
    if precision == "auto":
        precision = "bf16" if _multiplies_bf16(device) else "fp32"
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.cpu._is_avx512_bf16_supported()
