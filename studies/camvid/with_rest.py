# A distillation with batches of the images that have no labels. A trial sets `every` of
# both data sets, and what distilled.py leaves to it. RandomCrop has no cat_max_ratio,
# which needs labels.
_base_ = './shared.py'
resize, crop, *others = _base_.train_pipeline[1:]
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
            resize,
            dict(type='RandomCrop', crop_size=crop.crop_size),
            *others,
        ],
    ),
)
del resize, crop, others
