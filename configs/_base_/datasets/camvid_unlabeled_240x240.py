# The 275 images for training that every=4 leaves out, without labels.
# RandomCrop has no cat_max_ratio, which needs labels.
unlabeled_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmkd.CamVidDataset',
        data_root='data/camvid',
        data_prefix=dict(img_path='train'),
        every=4,
        others=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                type='RandomResize',
                scale=(480, 360),
                ratio_range=(0.5, 2.0),
                keep_ratio=True,
            ),
            dict(type='RandomCrop', crop_size=(240, 240)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ],
    ),
)
