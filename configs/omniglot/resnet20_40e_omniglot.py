_base_ = '../_base_/omniglot_40e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARResNet', depth=20),
    head=dict(in_channels=64, num_classes=156),
)
