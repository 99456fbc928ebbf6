_base_ = '../cifar100_classifier.py'

model = dict(
    backbone=dict(type='mmkd.CIFARResNet', depth=32), head=dict(in_channels=64)
)
