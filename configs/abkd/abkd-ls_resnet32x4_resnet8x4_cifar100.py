_base_ = [
    '../cifar100/resnet8x4_1xb64-240e_cifar100.py',
    '../methods/cifar100/abkd_ls.py',
    '../_base_/teachers/resnet32x4_cifar100.py',
]
model = dict(head=dict(loss=dict(loss_weight=0.1)))
