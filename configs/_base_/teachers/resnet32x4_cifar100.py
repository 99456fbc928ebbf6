# Converted weights of mdistiller; see configs/cifar100/README.md.
teacher = dict(
    config='{{ fileDirname }}/../../cifar100/resnet32x4_1xb64-240e_cifar100.py',
    checkpoint='checkpoints/cifar100/resnet32x4.pth',
)
