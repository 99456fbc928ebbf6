# SegFormer with MiT-B0 of half the width, and a head of a quarter; the optimizer of the
# other students, whose rate is not too high for it.
_base_ = ['mmseg::_base_/models/segformer_mit-b0.py', '../recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(embed_dims=16),
    decode_head=dict(in_channels=[16, 32, 80, 128], channels=64, num_classes=11),
)
