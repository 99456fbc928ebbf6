# ImageNet recipe for any network. Derived configs add the backbone and the head's
# in_channels.
_base_ = [
    'models/imagenet_classifier.py',
    'datasets/imagenet_224x224.py',
    'schedules/schedule_imagenet_100e.py',
    'classification_runtime.py',
]
