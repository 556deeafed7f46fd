"""Every operator that a layer table may name, and whether it can run with its axes in another order than the model's.

`FOLLOWERS` compute the same in any order of axes (or in some), once their attributes have been renamed; `ORIGINAL`
holds for each of the others the reason why it stays as it is. An operator in neither is unknown, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from corecast.model import axes
from corecast.model.axes import Axes
from corecast.model.layer import Attribute, Behaviour, Call
from corecast.model.orders import Order

Renaming = Callable[[Attribute, Order], Attribute]


def _axis(value: Attribute, order: Order) -> Attribute:
    """An axis, or several, by number; several stand in sequence, for some of TVM's kernels count on that."""
    if isinstance(value, int):
        return order.index(value % len(order))
    return tuple(sorted(order.index(int(axis) % len(order)) for axis in value)) if isinstance(value, tuple) else value


def _layout(value: Attribute, order: Order) -> Attribute:
    """A layout: a letter for each axis."""
    if not isinstance(value, str) or len(value) != len(order):
        return value
    return "".join(value[axis] for axis in order)


def _layout_of_windows(value: Attribute, order: Order) -> Attribute:
    """A layout whose D, H and W stay in their sequence: they count the windows' axes, whichever axes these are."""
    letters = _layout(value, order)
    if not isinstance(letters, str) or len(letters) != len(order):
        return value
    space = iter(sorted(letter for letter in letters if letter in "DHW"))
    return "".join(next(space) if letter in "DHW" else letter for letter in letters)


def _each(width: int, value: Attribute, order: Order) -> Attribute:
    """So many numbers for each axis; those of leading axes may be left out."""
    if not isinstance(value, tuple):
        return value
    numbers = (1,) * (width * len(order) - len(value)) + value
    return tuple(number for axis in order for number in numbers[width * axis : width * (axis + 1)])


def _halves(value: Attribute, order: Order) -> Attribute:
    """What is added before each axis, and then what is added behind each."""
    if not isinstance(value, tuple) or len(value) != 2 * len(order):
        return value
    return tuple(value[half + axis] for half in (0, len(order)) for axis in order)


def any_order(call: Call, order: Order) -> bool:  # noqa: ARG001
    """For a call that can run in every order of its space."""
    return True


def _trailing_stay(call: Call, order: Order) -> bool:
    """A product with a matrix keeps its last axis last, a batch of products its last two."""
    last = 2 if len(call.operands[1].type.shape or ()) > 2 else 1
    return order[-last:] == tuple(range(len(order)))[-last:]


def _in_sequence(call: Call, order: Order) -> bool:
    """The axes that are normalised together stay in their sequence, for the scale has it too."""
    numbers = [order.index(int(axis) % len(order)) for axis in _several(call.attributes["axes"])]
    return numbers == sorted(numbers)


def _at_the_end(call: Call, order: Order) -> bool:
    """TVM compiles a root mean square of the last axes alone."""
    axes = _several(call.attributes["axes"])
    return tuple(order.index(int(axis) % len(order)) for axis in axes) == tuple(range(len(order)))[-len(axes) :]


def _several(value: Attribute) -> tuple[int | float | str, ...]:
    return value if isinstance(value, tuple) else ()


def _lowered_in(layouts: str, call: Call, order: Order) -> bool:
    """Only these layouts are compiled."""
    return _layout(call.attributes.get("layout"), order) in layouts.split()


@dataclass(frozen=True)
class Follower:
    """How an operator takes another order of axes.

    Attributes:
        axes: the axes of a call's tensors, or None for a call that stays as it is.
        renamed: the attributes that name axes, and how each reads in another order.
        windows: the attributes that have a number for each of D, H and W, and how each reads where these change places.
        takes: whether a call can run in an order of its space.
        reads_memory: whether it takes its operand as it lies, wherever that has axes of size one.
    """

    axes: Callable[[Call], Axes | None]
    renamed: Mapping[str, Renaming] = field(default_factory=dict)
    takes: Callable[[Call, Order], bool] = any_order
    reads_memory: bool = False
    windows: Mapping[str, Renaming] = field(default_factory=dict)

    def attributes(self, call: Call, order: Order) -> dict[str, Attribute]:
        """The attributes that read otherwise in this order."""
        renamed = {
            name: rename(call.attributes[name], order)
            for name, rename in self.renamed.items()
            if name in call.attributes
        }
        if self.windows:
            space = _order_in_space(str(call.attributes.get("layout", "")), order)
            renamed |= {
                name: rename(call.attributes[name], space)
                for name, rename in self.windows.items()
                if name in call.attributes
            }
        return {name: value for name, value in renamed.items() if value != call.attributes[name]}


def _order_in_space(layout: str, order: Order) -> Order:
    """An order of axes seen by those of D, H and W alone."""
    space = [axis for axis, letter in enumerate(layout) if letter in "DHW"]
    return tuple(space.index(axis) for axis in order if axis in space)


_AXIS = {"axis": _axis}
_LAYOUTS = {"layout": _layout, "out_layout": _layout}
_NHWC = partial(_lowered_in, "NCHW NHWC NCDHW NDHWC")

_FOLLOWING: tuple[tuple[Follower, str], ...] = (
    (
        Follower(axes.broadcast),
        """
        abs acos acosh add asin asinh astype atan atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor
        broadcast_to ceil clip cos cosh divide equal erf ewise_fma exp floor floor_divide floor_mod full_like greater
        greater_equal isfinite isinf isnan left_shift less less_equal log log_add_exp logical_and logical_not
        logical_or logical_xor maximum minimum mod multiply negative nn.dropout nn.gelu nn.gelu_tanh nn.leakyrelu
        nn.relu nn.selu nn.silu nn.softplus not_equal ones_like power right_shift round rsqrt sigmoid sign sin sinh
        sqrt square subtract tan tanh trunc where zeros_like
        builtin.stop_lift_params ccl.allreduce ccl.broadcast_from_worker0 grad.end_checkpoint grad.no_grad
        grad.start_checkpoint hint_on_device to_vdevice
        """,
    ),
    (Follower(axes.first_alone), "bucketize"),
    (Follower(axes.first_alone, _AXIS), "dequantize nn.batch_norm nn.bias_add nn.prelu quantize"),
    (Follower(axes.first_alone, {"axes": _axis}, _in_sequence), "nn.layer_norm"),
    (Follower(axes.first_alone, {"axes": _axis}, _at_the_end), "nn.rms_norm"),
    (Follower(axes.first_alone, {"axes": _axis, "channel_axis": _axis}), "nn.group_norm nn.instance_norm"),
    (Follower(axes.first_alone, {"seq_axis": _axis, "batch_axis": _axis}), "reverse_sequence"),
    (
        Follower(axes.together, _AXIS),
        """
        argsort concat flip gather_elements nn.log_softmax nn.softmax scatter_elements slice_scatter sort split topk
        """,
    ),
    (Follower(axes.along_an_axis, _AXIS), "cumprod cumsum repeat"),
    (Follower(axes.reduced, _AXIS), "max mean min prod std sum variance"),
    (Follower(axes.reduced_along_an_axis, _AXIS), "argmax argmin median"),
    (Follower(axes.with_new_axes, _AXIS), "expand_dims one_hot stack"),
    (Follower(axes.squeezed, _AXIS), "squeeze"),
    (Follower(axes.taken, _AXIS), "take"),
    (Follower(axes.together, {"pad_width": partial(_each, 2)}), "nn.pad"),
    (Follower(axes.together, {"repeats": partial(_each, 1)}), "tile"),
    (Follower(axes.together), "strided_slice"),
    (Follower(axes.reshaped, reads_memory=True), "reshape"),
    (Follower(axes.multiplied, takes=_trailing_stay), "matmul nn.dense"),
    (
        Follower(
            axes.pooled,
            {"layout": _layout_of_windows, "out_layout": _layout_of_windows},
            windows={
                "pool_size": partial(_each, 1),
                "strides": partial(_each, 1),
                "dilation": partial(_each, 1),
                "output_size": partial(_each, 1),
                "padding": _halves,
            },
        ),
        """
        nn.adaptive_avg_pool1d nn.adaptive_avg_pool2d nn.adaptive_avg_pool3d nn.avg_pool1d nn.avg_pool2d nn.avg_pool3d
        nn.max_pool1d nn.max_pool2d nn.max_pool3d
        """,
    ),
    (Follower(axes.together, _LAYOUTS, _NHWC), "image.resize2d image.resize3d"),
)

FOLLOWERS: dict[str, Follower] = {op: follower for follower, ops in _FOLLOWING for op in ops.split()}

# These do nothing but name axes anew: where one stands, its operand is read in the other order that it asks for.
RENAMING = frozenset({"permute_dims"})

# These have the layouts that a recipe gives them, or those that they had.
_WITH_LAYOUT = frozenset({"nn.conv1d", "nn.conv2d", "nn.conv3d"})

_REASONS: tuple[tuple[str, str], ...] = (
    (
        "TVM compiles it in the model's own layout only",
        """
        image.affine_grid image.grid_sample nn.conv1d_transpose nn.conv2d_transpose nn.conv3d_transpose
        nn.pixel_shuffle vision.roi_align vision.roi_pool grad.avg_pool2d_backward grad.max_pool2d_backward
        """,
    ),
    (
        "what it computes depends on the sequence in which the elements lie",
        """
        flatten layout_transform memory.view multinomial_from_uniform nn.batch_flatten nonzero unique
        ccl.allgather ccl.scatter_from_worker0
        """,
    ),
    (
        "each of its axes has a meaning of its own",
        """
        einsum gather_nd index_put index_tensor meshgrid nn.attention nn.attention_bias nn.attention_var_len
        nn.cross_entropy_with_logits nn.nll_loss outer scatter_nd tril triu eye_like
        grad.nll_loss_backward grad.take_backward
        vision.all_class_non_max_suppression vision.get_valid_counts vision.multibox_transform_loc
        vision.non_max_suppression
        """,
    ),
    (
        "an operand counts its axes: where to cut, or the shape of the result",
        "collapse_sum_like collapse_sum_to dynamic_strided_slice",
    ),
    (
        "it makes a tensor, or tells a size or a shape, and reads none that could be in another order",
        "arange eye full hamming_window null_value ones zeros shape_of shape_to_tensor size tensor_to_shape",
    ),
    (
        "it calls code that expects the model's order, or hands it a tensor",
        """
        assert_op call call_builtin_with_ctx call_dps_packed call_inplace_packed call_py_func call_pure_packed
        call_tir call_tir_inplace call_tir_with_grad if invoke_closure invoke_pure_closure make_closure match_cast print
        dist.annotate_sharding dist.call_tir_local_view dist.redistribute dist.redistribute_replica_to_shard
        inspect.tensor_byte_offset inspect.tensor_dtype_bits inspect.tensor_dtype_code inspect.tensor_dtype_lanes
        inspect.tensor_elem_offset inspect.tensor_ndim inspect.tensor_shape_i inspect.tensor_stride_i
        builtin.alloc_tensor memory.alloc_storage memory.alloc_tensor memory.ensure_zero_offset memory.kill_storage
        memory.kill_tensor vm.alloc_storage vm.alloc_tensor vm.call_tir_dyn vm.kill_object wrap_param
        """,
    ),
)

ORIGINAL: dict[str, str] = {op: reason for reason, ops in _REASONS for op in ops.split()}


def behaviour_of(op: str) -> Behaviour:
    """What an operator does when its producer's order of axes changes; of an unknown one nobody knows."""
    if op in FOLLOWERS or op in RENAMING or op in _WITH_LAYOUT:
        return "follows"
    return "original" if op in ORIGINAL else "unknown"
