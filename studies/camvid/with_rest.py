# A distillation with batches of the images that have no labels. A trial sets `every` of
# both data sets, and what distilled.py leaves to it.
_base_ = './distilled.py'
unlabeled_dataloader = dict(
    batch_size=8,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='mmkd.CamVidDataset',
        data_root='data/camvid',
        data_prefix=dict(img_path='train'),
        others=True,
        pipeline=[
            dict(type='studies.cached_loading.CachedLoading', labels=False),
            dict(
                type='RandomResize',
                scale=(240, 180),
                ratio_range=(0.5, 2.0),
                keep_ratio=True,
            ),
            dict(type='RandomCrop', crop_size=(144, 144)),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs'),
        ],
    ),
)
