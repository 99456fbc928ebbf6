# The recipe of Omniglot for any network: it adds the backbone and the head's width.
_base_ = [
    'models/cifar100_classifier.py',
    'datasets/omniglot_32x32.py',
    'classification_runtime.py',
    'schedules/schedule_omniglot_20e.py',
]
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=1))
