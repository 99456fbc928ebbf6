_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARWideResNet', depth=16, widen_factor=2),
    head=dict(in_channels=128),
)
