"""The parts that the kernel is put together of: the ring of stages, loading, multiplying, adding up, writing.

Each is inlined where it is called. `t` is the tiling, `s` what the block has in shared memory. Positions come from the
tiling, tensor maps from `maps.py`, what is done to a value from `epilogue.py`.
"""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.ir import PointerType, PrimType
from tvm.script import tirx as T

from corecast.backends.schedules.hwnc_sm90.epilogue import as_float, finished, packed, unpacked
from corecast.backends.schedules.hwnc_sm90.tiling import BARRIER, MMA_BYTES, MMA_ROWS, Tiling

_LOAD = "cp.async.bulk.tensor.{}d.shared::cluster.global.mbarrier::complete_tx::bytes"
_STORE = "cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group"
LOAD_3D, LOAD_4D, STORE = _LOAD.format(3), _LOAD.format(4), _STORE


@T.meta_class
class Shared:
    """The shared memory of a block: operands, what is written, and the barriers that say what has come and gone."""

    def __init__(self, t: Tiling) -> None:
        pool = T.SMEMPool()
        self.arena = pool.alloc((t.arena_bytes,), "uint8", align=1024)
        self.full = pool.alloc((t.knobs.stages,), "uint64", align=BARRIER)
        self.empty = pool.alloc((t.knobs.stages,), "uint64", align=BARRIER)
        self.weights_in = pool.alloc((1,), "uint64", align=BARRIER)
        self.residual_in = pool.alloc((t.knobs.teams,), "uint64", align=BARRIER)
        self.turns = pool.alloc((t.knobs.teams,), "uint64", align=BARRIER)
        pool.commit()
        self.data = self.view((t.knobs.stages, t.data_bytes), "uint8", 0)
        self.weights = self.view((t.weight_slots, t.weight_bytes), "uint8", t.weights_at)
        self.word = "uint16" if t.result_size == 1 else "uint32"
        self.word_bytes = 2 if t.result_size == 1 else 4
        words = t.staged_bytes // self.word_bytes
        self.staged = self.view((t.knobs.teams, words), self.word, t.staged_at)
        self.partial = self.view((max(t.partial_bytes // 4, 1),), t.format.sum, 0)

    def view(self, shape: tuple[int, ...], dtype: str, at: int) -> Any:
        return T.decl_buffer(shape, dtype, data=self.arena.data, byte_offset=at, scope="shared.dyn")


@T.meta_class
class Ring:
    """Where a thread stands in the ring of stages, and which phase of their barriers it waits for."""

    def __init__(self, stages: int) -> None:
        self.stages = stages
        self.stage = T.local_scalar("int32")
        self.phase = T.local_scalar("int32")

    @T.inline
    def begin(self):  # type: ignore[no-untyped-def]
        self.stage = 0
        self.phase = 0

    @T.inline
    def skip(self, steps):  # type: ignore[no-untyped-def]
        self.stage = self.stage + steps % self.stages
        self.phase = self.phase ^ (steps // self.stages % 2)
        if self.stage >= self.stages:
            self.stage = self.stage - self.stages
            self.phase = self.phase ^ 1


@T.inline
def encode(tensor_map, described, buffer):  # type: ignore[no-untyped-def]
    """On the host: make the tensor map of an argument."""
    T.call_packed(
        "runtime.cuTensorMapEncodeTiled", tensor_map, described.dtype, described.rank, buffer.data, *described.numbers()
    )


@T.inline
def prepare(t, s, thread):  # type: ignore[no-untyped-def]
    """Make the barriers, and let every thread and the copy engine see them."""
    if thread == 0:
        for stage in T.unroll(t.knobs.stages):
            T.ptx.mbarrier.init.shared.b64(s.full.ptr_to([stage]), T.uint32(1))
            T.ptx.mbarrier.init.shared.b64(s.empty.ptr_to([stage]), T.uint32(t.team_threads // 32))
        T.ptx.mbarrier.init.shared.b64(s.weights_in.ptr_to([0]), T.uint32(1))
        for team in T.unroll(t.knobs.teams):
            T.ptx.mbarrier.init.shared.b64(s.residual_in.ptr_to([team]), T.uint32(1))
            T.ptx.mbarrier.init.shared.b64(s.turns.ptr_to([team]), T.uint32(1))
        T.ptx.fence.mbarrier_init.release.cluster()
        T.ptx.fence.proxy.async_.shared__cta()
    if t.knobs.split > 1:
        T.cuda.cluster_sync()
    else:
        T.cuda.cta_sync()


@T.inline
def load(t, s, ring, of_data, of_weights, block, rank):  # type: ignore[no-untyped-def]
    """One thread: ask for the operands of every step of every tile of the block, as stages come free."""
    if t.knobs.resident:
        T.ptx.mbarrier.arrive.expect_tx.shared.b64(s.weights_in.ptr_to([0]), T.uint32(t.steps * t.weight_bytes))
        for place in T.serial(t.steps):
            T.ptx[LOAD_3D](
                s.weights.ptr_to([place, 0]),
                T.address_of(of_weights),
                t.channel(place),
                0,
                t.tap(place),
                s.weights_in.ptr_to([0]),
            )
    ring.begin()
    for turn in T.serial(t.tiles_of(block)):
        tile: T.let = block // t.knobs.split + turn * t.grid
        for index in T.serial(t.own_steps):
            step: T.let = rank * t.own_steps + index
            T.cuda.mbarrier_wait(s.empty.ptr_to([ring.stage]), ring.phase ^ 1)
            T.ptx.mbarrier.arrive.expect_tx.shared.b64(s.full.ptr_to([ring.stage]), T.uint32(t.stage_bytes))
            T.ptx[LOAD_4D](
                s.data.ptr_to([ring.stage, 0]),
                T.address_of(of_data),
                t.channel(step),
                t.image(tile),
                t.data_column(tile, step),
                t.data_line(tile, step),
                s.full.ptr_to([ring.stage]),
            )
            if not t.knobs.resident:
                T.ptx[LOAD_3D](
                    s.weights.ptr_to([ring.stage, 0]),
                    T.address_of(of_weights),
                    t.channel(step),
                    t.out_channel(tile),
                    t.tap(step),
                    s.full.ptr_to([ring.stage]),
                )
            ring.skip(1)


def instruction(t: Tiling) -> str:
    """The wgmma of 64 rows, `instruction_columns` and 32 bytes of channels."""
    depth = MMA_BYTES // t.format.size
    kind = {"uint32": "s32", "float32": "f32"}[t.format.sum]
    shape = f"m{MMA_ROWS}n{t.instruction_columns}k{depth}"
    return f"wgmma.mma_async.sync.aligned.{shape}.{kind}.{t.format.ptx}.{t.format.ptx}"


def scales(t: Tiling) -> list[Any]:
    """What follows the operands: add to what is there; for floats 1 times each; for two bytes neither transposed."""
    return [T.bool(True), *([] if t.format.sum == "uint32" else [1, 1]), *([0, 0] if t.format.size == 2 else [])]


def taken(t: Tiling, sums: Any, group: Any, side: Any) -> list[Any]:
    """The sums that one instruction adds to."""
    count = t.instruction_columns // 2
    return [sums[group * (t.knobs.columns // 2) + side * count + index] for index in range(count)]


@T.inline
def multiply(t, s, ring, sums, data, weights, lane):  # type: ignore[no-untyped-def]
    """A team: the sums of one tile. A stage is free again when the step after it has been started."""
    for index in T.unroll(t.sums):
        sums[index] = T.Cast(t.format.sum, 0)
    before: T.int32 = 0
    for index in T.serial(t.own_steps):
        T.cuda.mbarrier_wait(s.full.ptr_to([ring.stage]), ring.phase)
        T.ptx.wgmma.fence.sync.aligned()
        for part in T.unroll(t.row_bytes // MMA_BYTES):
            for group in T.unroll(t.row_groups):
                for side in T.unroll(t.knobs.columns // t.instruction_columns):
                    T.ptx[instruction(t)](
                        *taken(t, sums, group, side),
                        data + T.Cast("uint64", t.data_units(ring.stage, group, part)),
                        weights
                        + T.Cast("uint64", t.weight_units(index if t.knobs.resident else ring.stage, side, part)),
                        *scales(t),
                    )
        T.ptx.wgmma.commit_group.sync.aligned()
        T.ptx.wgmma.wait_group.sync.aligned(1)
        T.ptx.mbarrier.arrive.shared.b64(s.empty.ptr_to([before]), T.uint32(1), pred=T.And(index > 0, lane == 0))
        before = ring.stage
        ring.skip(1)
    T.ptx.wgmma.wait_group.sync.aligned(0)
    T.ptx.mbarrier.arrive.shared.b64(s.empty.ptr_to([before]), T.uint32(1), pred=lane == 0)


def of_block(buffer: Any, length: int, dtype: str, rank: Any) -> Any:
    """The same place in the shared memory of another block of the cluster."""
    kind = PointerType(PrimType(dtype), "shared")
    address = T.alloc_local([1], "uint64")
    T.evaluate(T.ptx.mapa.u64(address[0], buffer.ptr_to([0]), T.Cast("uint32", rank)))
    pointer = tirx.Var("theirs", kind)
    T.Bind(T.reinterpret(kind, address[0]), var=pointer)
    return T.decl_buffer([length], dtype, data=pointer, scope="shared")


@T.inline
def add_up(t, s, sums, own, thread, rank):  # type: ignore[no-untyped-def]
    """A cluster: each block leaves its sums in shared memory and adds up its share of all blocks'."""
    T.ptx.bar.sync(1, t.math_threads)
    for index in T.unroll(t.sums):
        s.partial[index * t.math_threads + thread] = sums[index]
    T.cuda.cluster_sync()
    for index in T.unroll(t.sums // t.knobs.split):
        own[index] = T.Cast(t.format.sum, 0)
    for peer in T.unroll(t.knobs.split):
        theirs = of_block(s.partial, t.partial_bytes // 4, t.format.sum, peer)
        for index in T.unroll(t.sums // t.knobs.split):
            own[index] = own[index] + theirs[(rank * (t.sums // t.knobs.split) + index) * t.math_threads + thread]
    T.cuda.cluster_sync()


@T.inline
def fetch_residual(t, s, of_residual, tile, base, team):  # type: ignore[no-untyped-def]
    """One thread of a team: ask for the residual of a tile, where its result will be staged."""
    T.ptx.mbarrier.arrive.expect_tx.shared.b64(s.residual_in.ptr_to([team]), T.uint32(t.staged_bytes))
    for chunk in T.unroll(t.chunks):
        T.ptx[LOAD_4D](
            s.staged.ptr_to([team, chunk * (t.rows * t.chunk_bytes // s.word_bytes)]),
            T.address_of(of_residual),
            t.out_channel(tile) + base + chunk * t.chunk_channels,
            t.image(tile),
            t.column(tile),
            t.line(tile),
            s.residual_in.ptr_to([team]),
        )


def value(t: Tiling, sums: Any, vectors: tuple[Any, ...], word: Any, place: tuple[Any, ...], channel: Any) -> Any:
    """The finished value of one sum. `vectors` are shift, scale and bias; a residual is in `word`, where it goes."""
    conv, odd = t.conv, place[3]
    found = sums[t.sum_index(*place)]
    if t.format.sum == "uint32":
        found = T.reinterpret("int32", found)
    if conv.out_dtype == "int32":
        return found
    own = channel + odd
    if conv.out_channels % t.knobs.columns:
        own = T.min(own, conv.out_channels - 1)  # a column outside the result is not stored
    shift, scale, bias = (vector[tuple([0] * (len(vector.shape) - 1) + [own])] for vector in vectors)
    if conv.epilogue.shift:
        found = found + shift
    residual = None
    if conv.epilogue.residual:
        residual = T.reinterpret("float32", word) if t.result_size == 4 else unpacked(word, odd, conv.out_dtype)
    if t.format.sum == "uint32":
        found = as_float(found, 2**31 if conv.epilogue.shift else conv.largest_sum)
    return finished(found, T.Cast("float32", scale), T.Cast("float32", bias), residual, conv.epilogue)


@T.inline
def finish(t, s, sums, vectors, tile, base, team, member):  # type: ignore[no-untyped-def]
    """A team: what the epilogue makes of the sums, staged as TMA will store it. A residual is read from there."""
    for eight in T.unroll(t.written_columns // 8):
        channel: T.let = t.out_channel(tile) + base + t.out_column(member, eight)
        for group in T.unroll(t.row_groups):
            for half in T.unroll(2):
                at: T.let = t.staged(t.row(member, group, half), t.out_column(member, eight)) // s.word_bytes
                if t.result_size == 4:
                    for odd in T.unroll(2):
                        s.staged[team, at + odd] = T.reinterpret(
                            "uint32",
                            value(t, sums, vectors, s.staged[team, at + odd], (group, eight, half, odd), channel),
                        )
                else:
                    s.staged[team, at] = packed(
                        value(t, sums, vectors, s.staged[team, at], (group, eight, half, 0), channel),
                        value(t, sums, vectors, s.staged[team, at], (group, eight, half, 1), channel),
                        t.conv.out_dtype,
                    )


@T.inline
def store(t, s, of_result, tile, base, team):  # type: ignore[no-untyped-def]
    """One thread of a team: write what is staged. Outside the result nothing is written."""
    for chunk in T.unroll(t.chunks):
        T.ptx[STORE](
            T.address_of(of_result),
            t.out_channel(tile) + base + chunk * t.chunk_channels,
            t.image(tile),
            t.column(tile),
            t.line(tile),
            s.staged.ptr_to([team, chunk * (t.rows * t.chunk_bytes // s.word_bytes)]),
        )
    T.ptx.cp.async_.bulk.commit_group()
