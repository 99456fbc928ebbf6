# Keys of `train_dataloader` for a weak and a strong view of each image, for MLKD.
_base_ = './strong_view.py'

weak = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
views = [weak, [*weak, *_base_.strong]]
two_views = dict(
    collate_fn=dict(type='mmkd.collate_views'),
    dataset=dict(
        pipeline=[
            dict(type='MultiView', num_views=[1, 1], transforms=views),
            dict(type='PackInputs'),
        ]
    ),
)
