_base_ = '../cifar100_classifier.py'

model = dict(
    backbone=dict(type='mmkd.CIFARShuffleNetV2', widen_factor=1.0),
    head=dict(in_channels=1024),
)
