# MobileNetV3-Small with LRASPP: the last backbone blocks of half the width, the head of
# a quarter, output stride 16.
_base_ = ['mmseg::_base_/models/lraspp_m-v3-d8.py', '../recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(
        type='studies.camvid.lraspp.UndilatedMobileNetV3',
        arch='small',
        out_indices=(0, 1, 12),
        reduction_factor=2,
    ),
    decode_head=dict(
        type='studies.camvid.lraspp.GlobalLRASPPHead',
        in_channels=(16, 16, 576),
        channels=32,
        branch_channels=(8, 16),
        num_classes=11,
    ),
)
