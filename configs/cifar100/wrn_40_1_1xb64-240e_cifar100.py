_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARWideResNet', depth=40, widen_factor=1),
    head=dict(in_channels=64),
)
