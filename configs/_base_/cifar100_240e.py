# CIFAR-100 recipe for any network. Derived configs add the backbone and the head's
# in_channels.
_base_ = [
    'models/cifar100_classifier.py',
    'datasets/cifar100.py',
    'schedules/schedule_cifar_240e.py',
    'classification_runtime.py',
]
