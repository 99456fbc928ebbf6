_base_ = '../_base_/imagenet_100e.py'
model = dict(backbone=dict(type='mmkd.MobileNetV1'), head=dict(in_channels=1024))
