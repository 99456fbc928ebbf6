"""Operators that a program of ``torch.export`` may use.

Functions of tensors and numbers, and their in-place forms. Left out are operators that
touch files (``from_file``, ``save``), print, draw random numbers, or change the state
of PyTorch.
"""

import math
import operator
from collections.abc import Callable

import torch

from .archive import Refused

PREFIX = 'torch.ops.aten.'
# Functions of sizes, by their names in a program.
MODULES = {'_operator': operator, 'math': math, 'torch': torch}
NUMBERS = """
_operator.add _operator.and_ _operator.eq _operator.floordiv _operator.ge
_operator.getitem _operator.gt _operator.le _operator.lt _operator.mod _operator.mul
_operator.ne _operator.neg _operator.or_ _operator.pos _operator.sub _operator.truediv
math.ceil math.floor math.trunc torch.sym_float torch.sym_int torch.sym_ite
torch.sym_max torch.sym_min torch.sym_not
"""
# Functions of tensors; their names in a program begin with PREFIX.
TENSORS = """
__and__ __or__ __xor__ _adaptive_avg_pool2d _assert_scalar _assert_tensor_metadata
_log_softmax _native_batch_norm_legit_no_training _safe_softmax _softmax _to_copy
_trilinear _unsafe_index _unsafe_view _upsample_bicubic2d_aa _upsample_bilinear2d_aa abs
absolute acos acosh adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d
adaptive_max_pool1d adaptive_max_pool2d add addbmm addcdiv addcmul addmm
affine_grid_generator alias all amax amin aminmax any arange arccos arcsin arctan
arctan2 argmax argmin argsort as_strided asin asinh atan atan2 atanh atleast_1d
atleast_2d avg_pool1d avg_pool2d avg_pool3d baddbmm batch_norm bilinear bitwise_and
bitwise_not bitwise_or bitwise_xor bmm broadcast_tensors broadcast_to bucketize cat
cdist ceil celu channel_shuffle chunk clamp clamp_max clamp_min clip clone col2im
complex concat constant_pad_nd contiguous conv1d conv2d conv3d conv_transpose1d
conv_transpose2d conv_transpose3d convolution copy cos cosh cosine_similarity
count_nonzero cross cummax cumprod cumsum detach diag diag_embed diagonal diff div
divide dot dropout einsum elu embedding empty empty_like empty_permuted eq erf erfc exp
exp2 expand expand_as expm1 eye feature_dropout fft_fft2 fft_ifft2 fft_irfft2 fft_rfft2
fill flatten flip fliplr flipud floor floor_divide fmod frac frobenius_norm full
full_like gather ge gelu glu greater greater_equal grid_sampler grid_sampler_2d
group_norm gt hardshrink hardsigmoid hardswish hardtanh hypot im2col imag index
index_add index_copy index_fill index_put index_select instance_norm isfinite isinf
isnan layer_norm le leaky_relu lerp less less_equal lift_fresh lift_fresh_copy
linalg_matrix_norm linalg_norm linalg_vector_norm linear linspace log log10 log1p log2
log_sigmoid log_sigmoid_forward log_softmax logaddexp logical_and logical_not logical_or
logical_xor logsumexp lt masked_fill masked_scatter masked_select matmul max max_pool1d
max_pool2d max_pool2d_with_indices maximum mean median meshgrid min minimum mish mm
moveaxis movedim mul multiply mv nan_to_num narrow native_group_norm native_layer_norm
ne neg negative new_empty new_full new_ones new_zeros nonzero norm not_equal numpy_T
one_hot ones ones_like outer pad pairwise_distance permute pixel_shuffle pixel_unshuffle
polar pow prelu prod real reciprocal reflection_pad1d reflection_pad2d relu relu6
remainder repeat repeat_interleave replication_pad1d replication_pad2d reshape
reshape_as resolve_conj resolve_neg rms_norm roll rot90 round rsqrt rsub scalar_tensor
scaled_dot_product_attention scatter scatter_add scatter_reduce searchsorted select
select_scatter selu sigmoid sign silu sin sinh size slice slice_scatter softmax softplus
sort split split_with_sizes sqrt square squeeze stack std std_mean sub subtract sum
swapaxes swapdims sym_constrain_range sym_constrain_range_for_size sym_numel sym_size
sym_stride t take take_along_dim tan tanh tensor_split threshold tile to topk transpose
tril triu true_divide trunc type_as unbind unflatten unfold unique_consecutive
unsafe_chunk unsafe_split unsqueeze upsample_bicubic2d upsample_bilinear2d
upsample_linear1d upsample_nearest1d upsample_nearest2d upsample_trilinear3d var
var_mean view view_as view_as_complex view_as_real where zero zeros zeros_like
"""
ALLOWED_NUMBERS = frozenset(NUMBERS.split())
ALLOWED_TENSORS = frozenset(TENSORS.split())


def find_operator(target: str) -> Callable:
    """Return the operator with a name such as ``torch.ops.aten.add.Tensor``.

    Raises:
        Refused: for an operator that may not be used.
    """
    if target in ALLOWED_NUMBERS:
        module, _, name = target.partition('.')
        return getattr(MODULES[module], name)
    name, _, overload = target.removeprefix(PREFIX).partition('.')
    allowed = {name, name.removesuffix('_')} & ALLOWED_TENSORS
    if not target.startswith(PREFIX) or not allowed:
        raise Refused(f'it uses the operator {target[:100]!r}')
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or overload not in packet.overloads():
        raise Refused(f'it uses the operator {target!r}, unknown to this PyTorch')
    return getattr(packet, overload)
