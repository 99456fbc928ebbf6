_base_ = ['mmseg::_base_/models/segformer_mit-b0.py', '../recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(embed_dims=16),
    decode_head=dict(in_channels=[16, 32, 80, 128], channels=64, num_classes=11),
)
