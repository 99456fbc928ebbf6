_base_ = '../_base_/pairs/imagenet.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
# Two views of each image, as the paper's authors train: the strong one is distorted and
# a part of it erased. They sum the cross entropy over the views, and here it is their
# mean: hence twice the weight.
model = dict(
    distill_losses=dict(
        loss_mlkd=dict(type='mmkd.MLKDLoss', tau=1.0, views=2, loss_weight=0.5)
    ),
)
weak = [
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
]
strong = [
    *weak,
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        magnitude_level=10,
        magnitude_std='inf',
    ),
    dict(type='RandomErasing', erase_prob=1.0, min_area_ratio=0.0, max_area_ratio=0.25),
]
train_dataloader = dict(
    collate_fn=dict(type='mmkd.collate_views'),
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='MultiView', num_views=[1, 1], transforms=[weak, strong]),
            dict(type='PackInputs'),
        ]
    ),
)
optim_wrapper = dict(optimizer=dict(lr=0.1))
