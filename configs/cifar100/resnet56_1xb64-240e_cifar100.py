_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARResNet', depth=56),
    head=dict(in_channels=64),
)
