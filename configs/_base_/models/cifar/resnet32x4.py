_base_ = '../cifar100_classifier.py'

model = dict(
    backbone=dict(
        type='mmkd.CIFARResNet', depth=32, stem_channels=32, base_channels=64
    ),
    head=dict(in_channels=256),
)
