_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARVGG', depth=8),
    head=dict(in_channels=512),
)
