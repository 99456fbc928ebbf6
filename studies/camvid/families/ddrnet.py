# DDRNet-23-slim of a quarter of the width; OHEM without the weights of Cityscapes'
# classes, with the same share of pixels kept at least.
_base_ = '../recipe.py'
norm_cfg = dict(type='SyncBN', requires_grad=True)
ohem = dict(type='OhemCrossEntropy', thres=0.9, min_kept=3400)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=_base_.crop_size,
        test_cfg=dict(size_divisor=8),
    ),
    backbone=dict(type='DDRNet', channels=8, ppm_channels=32, norm_cfg=norm_cfg),
    decode_head=dict(
        type='DDRHead',
        in_channels=32,
        channels=16,
        dropout_ratio=0.0,
        num_classes=11,
        align_corners=False,
        norm_cfg=norm_cfg,
        loss_decode=[ohem, dict(ohem, loss_weight=0.4)],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
