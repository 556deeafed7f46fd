"""The family itself: what `corecast.backends.schedules` asks of one, answered by the modules beside this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from tvm import tirx

from corecast.backends.schedules.family import Calling, Family, Knob
from corecast.backends.schedules.family import Knobs as Values
from corecast.backends.schedules.hwnc_sm90.cost import ranked
from corecast.backends.schedules.hwnc_sm90.kernel import kernel
from corecast.backends.schedules.hwnc_sm90.problem import Conv
from corecast.backends.schedules.hwnc_sm90.reading import Kernel, read
from corecast.backends.schedules.hwnc_sm90.space import (
    BLOCKS,
    COLUMNS,
    HOPPER,
    ROWS,
    SPLITS,
    WALKS,
    WARPGROUPS,
    boxes,
    knobs_of,
    most_stages,
    objection,
)
from corecast.backends.schedules.hwnc_sm90.tiling import Knobs, Tiling
from corecast.backends.workloads import Workload
from corecast.model import Target

ARCH = "sm_90a"


class HwncSm90(Family):
    """Convolutions of one group in HWNC with kernels in HWOI, in float16, bfloat16, int8 and float8_e4m3fn."""

    name: ClassVar[str] = "hwnc_sm90"
    calling: ClassVar[Calling] = "apart"

    def refuses(self, workload: Workload, target: Target) -> str | None:
        if target.kind != "cuda" or target.arch != ARCH:
            return f"it is for cuda:{ARCH}"
        found = read(workload)
        return found if isinstance(found, str) else None

    def space(self, workload: Workload, target: Target) -> Mapping[str, Sequence[Knob]]:  # noqa: ARG002
        conv = _kernel(workload).conv
        return {
            "box": ["x".join(map(str, box)) for rows in ROWS for box in boxes(conv, rows)],
            "columns": COLUMNS,
            "warpgroups": WARPGROUPS,
            "blocks": BLOCKS,
            "walk": list(WALKS),
            "split": SPLITS,
        }

    def objection(self, workload: Workload, target: Target, knobs: Values) -> str | None:  # noqa: ARG002
        found = _chosen(_kernel(workload).conv, knobs)
        return found if isinstance(found, str) else None

    def first_guess(self, workload: Workload, target: Target) -> Values:  # noqa: ARG002
        knobs = ranked(_kernel(workload).conv)[0]
        walk = next(name for name, walk in WALKS.items() if walk == (knobs.teams, knobs.persistent, knobs.resident))
        return {
            "box": "x".join(map(str, knobs.box)),
            "columns": knobs.columns,
            "warpgroups": knobs.warpgroups,
            "blocks": knobs.blocks,
            "walk": walk,
            "split": knobs.split,
        }

    def emit(self, workload: Workload, target: Target, knobs: Values) -> tirx.PrimFunc:  # noqa: ARG002
        found = _kernel(workload)
        chosen = _chosen(found.conv, knobs)
        assert isinstance(chosen, Knobs), chosen  # what does not go together was refused
        return kernel(Tiling(found.conv.flattened(), chosen, HOPPER.multiprocessors), found.takes)


def _kernel(workload: Workload) -> Kernel:
    found = read(workload)
    assert isinstance(found, Kernel), found  # what is not ours was refused
    return found


def _chosen(conv: Conv, knobs: Values) -> Knobs | str:
    """The values as knobs with as many stages as fit, or why they do not go together."""
    images, columns, lines = (int(side) for side in str(knobs["box"]).split("x"))
    wide, warpgroups, blocks, split = (int(knobs[name]) for name in ("columns", "warpgroups", "blocks", "split"))
    wanted = knobs_of((images, columns, lines), wide, warpgroups, blocks, split, str(knobs["walk"]))
    return objection(conv, wanted) or most_stages(conv, wanted)
