# The recipe of ImageNet for any network: it adds the backbone and the head's width.
_base_ = [
    'models/imagenet_classifier.py',
    'datasets/imagenet_224x224.py',
    'schedules/schedule_imagenet_100e.py',
    'classification_runtime.py',
]
