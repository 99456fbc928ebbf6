_base_ = '../cifar100_classifier.py'

model = dict(
    backbone=dict(type='mmkd.CIFARWideResNet', depth=40, widen_factor=1),
    head=dict(in_channels=64),
)
