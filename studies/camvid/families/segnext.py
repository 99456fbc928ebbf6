_base_ = '../recipe.py'
norm_cfg = dict(type='SyncBN', requires_grad=True)
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
    ),
    backbone=dict(
        type='MSCAN',
        embed_dims=[16, 32, 80, 128],
        mlp_ratios=[8, 8, 4, 4],
        drop_rate=0.0,
        drop_path_rate=0.1,
        depths=[3, 3, 5, 2],
        attention_kernel_sizes=[5, [1, 7], [1, 11], [1, 21]],
        attention_kernel_paddings=[2, [0, 3], [0, 5], [0, 10]],
        act_cfg=dict(type='GELU'),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='LightHamHead',
        in_channels=[32, 80, 128],
        in_index=[1, 2, 3],
        channels=128,
        ham_channels=128,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=dict(type='GN', num_groups=32, requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
        ham_kwargs=dict(
            MD_S=1, MD_R=16, train_steps=6, eval_steps=7, inv_t=100, rand_init=True
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
