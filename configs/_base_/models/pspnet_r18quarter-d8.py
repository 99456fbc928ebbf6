# One quarter of the width of R18 in all layers; without pretrained weights.
_base_ = './pspnet_r18-d8.py'

model = dict(
    pretrained=None,
    backbone=dict(stem_channels=16, base_channels=16),
    decode_head=dict(in_channels=128, channels=32),
    auxiliary_head=dict(in_channels=64, channels=16),
)
