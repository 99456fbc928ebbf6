_base_ = '../cifar100_classifier.py'

model = dict(
    backbone=dict(type='mmkd.CIFARMobileNetV2', widen_factor=0.5),
    head=dict(in_channels=1280),
)
