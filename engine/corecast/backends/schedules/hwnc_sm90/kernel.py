"""A tiling in, the function that computes its convolution out, in TVM's own kernel language (TIRx).

Its host part encodes the tensor maps of its arguments; then one warp of each block loads what the others multiply. A
ring of stages is between them: a barrier for each stage says when its operands are in, another when they are used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from tvm import tirx
from tvm.script import tirx as T

from corecast.backends.schedules.hwnc_sm90 import maps, parts
from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.tiling import WARP, Tiling, swizzle_code

Role = Literal["data", "weights", "shift", "scale", "bias", "residual", "result"]

ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Argument:
    """One argument of the function: what it is for, and the shape and dtype that callers know it by."""

    role: Role
    shape: tuple[int, ...]
    dtype: str


def arguments(conv: Conv) -> tuple[Argument, ...]:
    """The arguments of a convolution in the order in which its epilogue reads them."""
    spec, channels = conv.epilogue, (conv.out_channels,)
    result = (conv.out_height, conv.out_width, conv.batch, conv.out_channels)
    return (
        Argument("data", (conv.height, conv.width, conv.batch, conv.channels), conv.dtype),
        Argument("weights", (*conv.kernel, conv.out_channels, conv.channels), conv.dtype),
        *([Argument("shift", channels, "int32")] if spec.shift else []),
        *([Argument("scale", channels, "float32")] if spec.scale else []),
        *([Argument("bias", channels, "float32")] if spec.bias else []),
        *([Argument("residual", result, conv.out_dtype)] if spec.residual else []),
        Argument("result", result, conv.out_dtype),
    )


def kernel(t: Tiling, takes: Sequence[Argument]) -> tirx.PrimFunc:
    """The function of a convolution.

    Args:
        t: of the flattened convolution.
        takes: the arguments in the order in which the function shall have them. Those with a number for each output
            channel may have further axes of size 1 before it.
    """
    knobs, spec = t.knobs, t.conv.epilogue
    given = {argument.role: argument for argument in takes}
    unused = Argument("scale", (1,), "float32")
    data_, weights_, shift_, scale_, bias_, residual_, result_ = (given.get(role, unused) for role in ROLES)
    data_map, weight_map, result_map = maps.data_map(t), maps.weight_map(t), maps.result_map(t)

    @T.prim_func  # type: ignore[untyped-decorator]
    def main(  # type: ignore[no-untyped-def]
        data_at: T.handle,
        weights_at: T.handle,
        shift_at: T.handle,
        scale_at: T.handle,
        bias_at: T.handle,
        residual_at: T.handle,
        result_at: T.handle,
    ):
        data = T.match_buffer(data_at, data_.shape, dtype=data_.dtype, align=16)
        weights = T.match_buffer(weights_at, weights_.shape, dtype=weights_.dtype, align=16)
        shift = T.match_buffer(shift_at, shift_.shape, dtype=shift_.dtype)
        scale = T.match_buffer(scale_at, scale_.shape, dtype=scale_.dtype)
        bias = T.match_buffer(bias_at, bias_.shape, dtype=bias_.dtype)
        residual = T.match_buffer(residual_at, residual_.shape, dtype=residual_.dtype, align=16)
        result = T.match_buffer(result_at, result_.shape, dtype=result_.dtype, align=16)
        of_data: T.let[T.handle("tensormap")] = T.tvm_stack_alloca("tensormap", 1)
        parts.encode(of_data, data_map, data)
        of_weights: T.let[T.handle("tensormap")] = T.tvm_stack_alloca("tensormap", 1)
        parts.encode(of_weights, weight_map, weights)
        of_result: T.let[T.handle("tensormap")] = T.tvm_stack_alloca("tensormap", 1)
        parts.encode(of_result, result_map, result)
        of_residual: T.let[T.handle("tensormap")] = T.tvm_stack_alloca("tensormap", 1)
        if spec.residual:
            parts.encode(of_residual, result_map, residual)

        T.device_entry()
        T.attr({"tirx.launch_bounds_min_blocks_per_sm": knobs.blocks})
        block = T.cta_id([t.grid])
        thread = T.thread_id([t.threads])
        rank = T.cta_id_in_cluster([knobs.split])
        s = parts.Shared(t)
        ring = parts.Ring(knobs.stages)
        parts.prepare(t, s, thread)
        if thread >= t.math_threads:
            if thread == t.math_threads:
                parts.load(t, s, ring, of_data, of_weights, block, rank)
            if knobs.split > 1:
                T.cuda.warp_sync()
                T.cuda.cluster_sync()
                T.cuda.cluster_sync()
        else:
            team: T.let = thread // t.team_threads
            member: T.let = thread % t.team_threads
            sums = T.alloc_local((t.sums,), t.format.sum)
            own = T.alloc_local((t.sums // knobs.split if knobs.split > 1 else 1,), t.format.sum)
            data_tile: T.uint64
            weight_tile: T.uint64
            T.cuda.wgmma.encode_matrix_descriptor(
                T.address_of(data_tile),
                s.data.ptr_to([0, member // 128 * t.warpgroup_bytes]),
                1,
                8 * t.row_bytes // 16,
                swizzle_code(t.row_bytes),
            )
            T.cuda.wgmma.encode_matrix_descriptor(
                T.address_of(weight_tile), s.weights.ptr_to([0, 0]), 1, 8 * t.row_bytes // 16, swizzle_code(t.row_bytes)
            )
            ring.begin()
            if knobs.teams > 1:
                if team > 0:
                    ring.skip(t.steps)
            if knobs.resident:
                T.cuda.mbarrier_wait(s.weights_in.ptr_to([0]), 0)
            base: T.let = rank * t.written_columns
            for turn in T.serial((t.tiles_of(block) - team + knobs.teams - 1) // knobs.teams):
                tile: T.let = block // knobs.split + (turn * knobs.teams + team) * t.grid
                if t.staged_apart:
                    if member == 0:
                        T.ptx.cp.async_.bulk.wait_group.read(0)
                        if spec.residual:
                            parts.fetch_residual(t, s, of_residual, tile, base, team)
                if knobs.teams > 1:
                    # A phase of a stage is told from the one before and after it only: no team may be two phases ahead.
                    T.cuda.mbarrier_wait(s.turns.ptr_to([team]), (turn + 1 - team) % 2)
                parts.multiply(t, s, ring, sums, data_tile, weight_tile, thread % WARP)
                if knobs.teams > 1:
                    T.ptx.mbarrier.arrive.shared.b64(s.turns.ptr_to([1 - team]), T.uint32(1), pred=member == 0)
                    ring.skip(t.steps)
                if knobs.split > 1:
                    parts.add_up(t, s, sums, own, thread, rank)
                if spec.residual:
                    T.cuda.mbarrier_wait(s.residual_in.ptr_to([team]), turn % 2)
                T.ptx.bar.sync(T.Cast("uint32", team + 1), T.uint32(t.team_threads))
                parts.finish(t, s, own if knobs.split > 1 else sums, (shift, scale, bias), tile, base, team, member)
                T.ptx.fence.proxy.async_.shared__cta()
                T.ptx.bar.sync(T.Cast("uint32", team + 1), T.uint32(t.team_threads))
                if member == 0:
                    parts.store(t, s, of_result, tile, base, team)
            if member == 0:
                T.ptx.cp.async_.bulk.wait_group(0)

    return _with(main, [argument.role for argument in takes])


def _with(function: tirx.PrimFunc, roles: Sequence[Role]) -> tirx.PrimFunc:
    """The same function with these arguments in this order; the others are not read."""
    by_role = dict(zip(ROLES, function.params, strict=True))
    params = [by_role[role] for role in roles]
    return tirx.PrimFunc(params, function.body, function.ret_type, function.attrs)
