# Baseline with MLKD's recipe: two views, twice the epochs, half the learning rate.
_base_ = [
    '../cifar100/resnet8x4_1xb64-240e_cifar100.py',
    '../_base_/datasets/cifar100_two_views.py',
]
train_dataloader = _base_.two_views
optim_wrapper = dict(optimizer=dict(lr=0.025))
train_cfg = dict(max_epochs=480)
