# FPN on EfficientNet-Lite0, pretrained on ImageNet, with a lower learning rate.
_base_ = ['./fpn_efficientnet.py', './recipe.py']
model = dict(
    data_preprocessor=dict(size=_base_.crop_size), decode_head=dict(num_classes=11)
)
optim_wrapper = dict(optimizer=dict(lr=0.001))
