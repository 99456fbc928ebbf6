_base_ = '../cifar100_classifier.py'

model = dict(backbone=dict(type='mmkd.CIFARVGG', depth=8), head=dict(in_channels=512))
