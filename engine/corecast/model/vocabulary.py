"""The words that a selector may use for operators and their attributes before any model is at hand.

Read off the operator registry of TVM 0.27 (plus `nn.dense`, our name for a matmul with a weight), so that `check` can
tell a typing error from an operator without importing TVM; and off the operators of ONNX that TVM has no one call for.
A model adds its own.
"""

from __future__ import annotations

OPERATORS = frozenset(
    """
    abs acos acosh add arange argmax argmin argsort asin asinh astype atan atan2 atanh bitwise_and bitwise_not
    bitwise_or bitwise_xor broadcast_to bucketize call_tir ceil clip collapse_sum_like collapse_sum_to concat
    cos cosh cumprod cumsum dequantize divide dynamic_strided_slice einsum equal erf ewise_fma exp expand_dims
    eye eye_like flatten flip floor floor_divide floor_mod full full_like gather_elements gather_nd greater
    greater_equal hamming_window image.affine_grid image.grid_sample image.resize2d image.resize3d index_put
    index_tensor isfinite isinf isnan layout_transform left_shift less less_equal log log_add_exp logical_and
    logical_not logical_or logical_xor matmul max maximum mean median meshgrid min minimum mod
    multinomial_from_uniform multiply negative nn.adaptive_avg_pool1d nn.adaptive_avg_pool2d
    nn.adaptive_avg_pool3d nn.attention nn.attention_bias nn.attention_var_len nn.avg_pool1d nn.avg_pool2d
    nn.avg_pool3d nn.batch_flatten nn.batch_norm nn.conv1d nn.conv1d_transpose nn.conv2d nn.conv2d_transpose
    nn.conv3d nn.conv3d_transpose nn.cross_entropy_with_logits nn.dense nn.dropout nn.gelu nn.gelu_tanh
    nn.group_norm nn.instance_norm nn.layer_norm nn.leakyrelu nn.log_softmax nn.max_pool1d nn.max_pool2d
    nn.max_pool3d nn.nll_loss nn.pad nn.pixel_shuffle nn.prelu nn.relu nn.rms_norm nn.selu nn.silu nn.softmax
    nn.softplus nonzero not_equal one_hot ones ones_like outer permute_dims power prod quantize repeat reshape
    reverse_sequence right_shift round rsqrt scatter_elements scatter_nd sigmoid sign sin sinh size
    slice_scatter sort split sqrt square squeeze stack std strided_slice subtract sum take tan tanh tile topk
    tril triu trunc unique variance vision.all_class_non_max_suppression vision.get_valid_counts
    vision.multibox_transform_loc vision.non_max_suppression vision.roi_align vision.roi_pool where zeros
    zeros_like
    """.split()
) | frozenset(
    """
    bernoulli bit_cast bit_shift blackman_window cast_like causal_conv_with_state celu center_crop_pad
    col2_im compress concat_from_sequence constant constant_of_shape conv_integer deform_conv
    depth_to_space det dft dynamic_quantize_linear elu global_lp_pool gru hann_window hard_sigmoid
    hard_swish hardmax identity if image.resize1d image_decoder linear_attention loop lp_normalization
    lp_pool lrn lstm matmul_integer max_unpool mean_variance_normalization mel_weight_matrix mish
    multinomial negative_log_likelihood_loss optional optional_get_element optional_has_element
    qlinear_conv qlinear_matmul random_normal random_normal_like random_uniform random_uniform_like
    reciprocal reduce_l1 reduce_l2 reduce_log_sum reduce_log_sum_exp reduce_sum_square regex_full_match
    rnn rotary_embedding scan scatter sequence_at sequence_construct sequence_empty sequence_erase
    sequence_insert sequence_length sequence_map shape_of shrink softmax_cross_entropy_loss softsign
    space_to_depth split_to_sequence stft string_concat string_normalizer string_split swi_glu swish
    tensor_scatter tf_idf_vectorizer thresholded_relu
    """.split()
)

ATTRIBUTES = frozenset(
    """
    accumulate aligned alpha apply_softmax assume_inbound axes axis batch_axis batch_dims beta causal_mask
    ceil_mode center channel_axis clip coord_start coordinate_transformation_mode count_include_pad
    cubic_alpha cubic_exclude data_layout descending dilation dtype epsilon exclusive extrapolation_value
    force_suppress groups id_index ignore_index indexing indices_or_sections invalid_to_bottom
    iou_threshold keep_background keepdims kernel_layout largest layout max_output_size memory_scope method
    momentum num_groups out_dtype out_layout output_format output_padding output_size pad_mode pad_value
    pad_width padding pool_size pooled_size rate reduction repeats ret_type return_indices rounding_method
    sample_ratio scale score_index score_threshold seq_axis soft_nms_sigma spatial_scale strides subscripts
    threshold top_k training upscale_factor variances window_size
    """.split()
)
