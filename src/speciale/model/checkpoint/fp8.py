"""FP8 weights with one scale a block of 128 x 128, as the released checkpoint holds them.

W = fp8(W / s) * s, e4m3 (largest value 448), s in `weight_scale_inv` [ceil(O/128), ceil(I/128)]
(V3 report, 3.3.2). V3.2's scales are powers of two ("scale_fmt": "ue8m0"), so that W / s rounds
once only and a dequantised weight quantises back to the same bits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128
LARGEST = 448.0  # of e4m3
FP8 = torch.float8_e4m3fn
_BIAS = 127 - 7  # between the exponents of bfloat16 and e4m3
_BITS = -32768 | 0x07F0  # of a bfloat16 that come from an e4m3: sign, 4 of exponent, 3 of mantissa


def scale_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """The shape of the scales of a matrix [O, I]."""
    return -(-shape[0] // BLOCK), -(-shape[1] // BLOCK)


def dequantise(weight: Tensor, scale: Tensor, out: Tensor | None = None) -> Tensor:
    """FP8 [O, I] and its scales [ceil(O/128), ceil(I/128)] -> `out` [O, I], else new in float32."""
    rows, columns = weight.shape
    out = torch.empty(rows, columns) if out is None else out
    spread = scale.float().repeat_interleave(BLOCK, 1)[:, :columns]  # [ceil(O/128), I]
    lifted = spread * 2.0**_BIAS
    codes = weight.view(torch.int8)
    for block, row in enumerate(range(0, rows, BLOCK)):
        part, target = codes[row : row + BLOCK], out[row : row + BLOCK]
        if (part & 127).max() == 127 or not lifted[block].isfinite().all():  # it holds a NaN
            torch.mul(weight[row : row + BLOCK].float(), spread[block], out=target)
            continue
        # The same bits at their places of a bfloat16, whose exponent counts from another number:
        # exact, and five times as fast as a conversion.
        bits = part.to(torch.int16).bitwise_left_shift_(4).bitwise_and_(_BITS)
        torch.mul(bits.view(torch.bfloat16), lifted[block], out=target)
    return out


def quantise(weight: Tensor, power_of_two: bool = True) -> tuple[Tensor, Tensor]:
    """A matrix [O, I] -> FP8 [O, I] and float32 scales [ceil(O/128), ceil(I/128)].

    power_of_two: the smallest scale of that kind that keeps the block within e4m3 (V3.2); else the
    block's largest value becomes 448 exactly (V3). A block of zeros has the scale 1.
    """
    rows, columns = weight.shape
    high, wide = scale_shape((rows, columns))
    padded = F.pad(weight.float(), (0, wide * BLOCK - columns, 0, high * BLOCK - rows))
    blocks = padded.view(high, BLOCK, wide, BLOCK)
    largest = blocks.abs().amax((1, 3))  # [high, wide]
    scale = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))
    if power_of_two:
        mantissa, exponent = torch.frexp(scale)  # mantissa in [0.5, 1)
        scale = torch.ldexp(torch.ones_like(scale), exponent - (mantissa == 0.5).int())
    values = (blocks / scale[:, None, :, None]).clamp_(-LARGEST, LARGEST).to(FP8)
    values = values.view(high * BLOCK, wide * BLOCK)[:rows, :columns].contiguous()
    return values, scale
