_base_ = '../_base_/imagenet_100e.py'
model = dict(backbone=dict(type='ResNet', depth=50), head=dict(in_channels=2048))
