norm_cfg = dict(type='SyncBN', eps=0.001, requires_grad=True)
_base_ = ['mmseg::_base_/models/lraspp_m-v3-d8.py', '../recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size),
    backbone=dict(arch='small', out_indices=(0, 1, 12), reduction_factor=2),
    decode_head=dict(
        type='studies.lraspp.GlobalLRASPPHead',
        in_channels=(16, 16, 576),
        channels=64,
        num_classes=11,
    ),
)
