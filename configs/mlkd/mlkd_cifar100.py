_base_ = '../_base_/pairs/cifar100.py'
work_dir = f'work_dirs/{{ fileBasenameNoExtension }}/{_base_.pair}'
# Two views of each image, as the paper's authors train: the strong one is distorted and
# a part of it erased. They sum the cross entropy over the views, and here it is their
# mean: hence twice the weight.
model = dict(
    student=dict(head=dict(loss=dict(loss_weight=0.2))),
    distill_losses=dict(
        loss_mlkd=dict(type='mmkd.MLKDLoss', tau=4.0, views=2, loss_weight=0.9)
    ),
)
weak = [
    dict(type='RandomCrop', crop_size=32, padding=4),
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
            dict(type='MultiView', num_views=[1, 1], transforms=[weak, strong]),
            dict(type='PackInputs'),
        ]
    ),
)
optim_wrapper = dict(optimizer=dict(lr=min(0.025, _base_.optim_wrapper.optimizer.lr)))
train_cfg = dict(max_epochs=480)
