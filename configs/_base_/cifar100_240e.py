# The recipe of CIFAR-100 for any network: it adds the backbone and the head's width.
_base_ = [
    'models/cifar100_classifier.py',
    'datasets/cifar100.py',
    'schedules/schedule_cifar_240e.py',
    'classification_runtime.py',
]
