"""Words that programs are written with. Their places are part of the format: append only."""

OPERATORS = tuple(
    """
    Conv ConvTranspose Gemm MatMul Add Sub Mul Div Pow Sqrt Exp Log Neg Abs Min Max Relu
    LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Sin Cos Erf Gelu Softmax
    LogSoftmax BatchNormalization LayerNormalization InstanceNormalization
    GroupNormalization MaxPool AveragePool GlobalAveragePool ReduceMean ReduceSum ReduceMax
    ArgMax Flatten Reshape Transpose Squeeze Unsqueeze Concat Split Slice Gather Pad Expand
    Where Cast Shape ConstantOfShape Range Resize LSTM GRU QuantizeLinear DequantizeLinear
    If Identity Elu Selu Softplus Reciprocal Equal Less Greater LessOrEqual GreaterOrEqual
    Not And Or ReduceMin ReduceProd ReduceL2 Tile CastLike GatherElements ScatterND
    ScatterElements Trilu Einsum Mod Floor Ceil Round Sign Size CumSum OneHot TopK
    GlobalMaxPool LRN MeanVarianceNormalization Celu Mish Softsign ThresholdedRelu
    DepthToSpace SpaceToDepth RNN GatherND NonZero IsNaN Constant Dropout
    """.split()
)
"""Operators of the ONNX standard domain; any other is spelt out in the file."""

ATTRIBUTES = tuple(
    """
    kernel_shape strides pads dilations group auto_pad transA transB alpha beta axis axes
    keepdims epsilon momentum perm to ceil_mode count_include_pad storage_order allowzero
    start end mode noop_with_empty_axes num_outputs value approximate hidden_size direction
    activations layout linear_before_reset input_forget clip then_branch else_branch
    output_padding output_shape select_last_index to_axis coordinate_transformation_mode
    nearest_mode cubic_coeff_a exclude_outside extrapolation_value antialias
    keep_aspect_ratio_policy num_groups training_mode saturate block_size output_dtype
    stash_type upper fmod exclusive reverse batch_dims reduction equation largest sorted
    value_int value_ints value_float value_floats size bias gamma lambd
    """.split()
)
"""Names of attributes; any other is spelt out in the file."""
