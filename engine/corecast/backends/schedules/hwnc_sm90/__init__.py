"""Convolutions in HWNC on the tensor cores of Hopper: TMA brings tiles, wgmma multiplies them, TMA takes them away.

A kernel of the model is read (`reading`) as a convolution with an epilogue (`problem`). With knobs (`space`) that a
model of the chip proposes (`cost`) every index follows (`tiling`), and what TMA is told (`maps`); the kernel (`kernel`)
is put together of parts (`parts`) and of what follows the sums (`epilogue`).
"""

from corecast.backends.schedules.hwnc_sm90.schedules import HwncSm90

__all__ = ["HwncSm90"]
