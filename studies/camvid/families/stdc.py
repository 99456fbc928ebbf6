# STDC1 of a quarter of the width. Without its search for hard pixels (OHEM), whose
# sorting takes a quarter of the step.
_base_ = ['mmseg::_base_/models/stdc.py', '../recipe.py']
*auxiliary, detail = _base_.model.auxiliary_head
for head in auxiliary:
    head.update(in_channels=32, channels=16, num_classes=11, sampler=None)
detail.update(in_channels=64, channels=16)
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        backbone_cfg=dict(channels=(8, 16, 64, 128, 256)),
        last_in_channels=(256, 128),
        out_channels=32,
        ffm_cfg=dict(in_channels=96, out_channels=64),
    ),
    decode_head=dict(in_channels=64, channels=64, num_classes=11, sampler=None),
    auxiliary_head=[*auxiliary, detail],
)
