# SegFormer with MiT-B0 of half the width, and a head of a quarter. AdamW as published,
# but with a higher rate for weights from scratch, and no higher one for the head.
_base_ = ['mmseg::_base_/models/segformer_mit-b0.py', '../recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(embed_dims=16),
    decode_head=dict(in_channels=[16, 32, 80, 128], channels=64, num_classes=11),
)
optim_wrapper = dict(
    optimizer=dict(lr=0.001),
    paramwise_cfg=dict(custom_keys={'norm': dict(decay_mult=0.0)}),
)
