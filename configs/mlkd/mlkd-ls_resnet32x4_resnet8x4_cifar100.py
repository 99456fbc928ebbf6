_base_ = [
    'resnet8x4_two-views_1xb64-480e_cifar100.py',
    '../methods/cifar100/mlkd_ls.py',
    '../_base_/teachers/resnet32x4_cifar100.py',
]
model = dict(head=dict(loss=dict(loss_weight=0.2)))
