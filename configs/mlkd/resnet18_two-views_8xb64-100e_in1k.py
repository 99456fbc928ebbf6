# Baseline with MLKD's recipe: two views, half the learning rate.
_base_ = [
    '../imagenet/resnet18_8xb64-100e_in1k.py',
    '../_base_/datasets/imagenet_two_views.py',
]
train_dataloader = _base_.two_views
optim_wrapper = dict(optimizer=dict(lr=0.1))
