_base_ = '../_base_/omniglot_20e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARResNet', depth=8, stem_channels=8, base_channels=8),
    head=dict(in_channels=32, num_classes=156),
)
