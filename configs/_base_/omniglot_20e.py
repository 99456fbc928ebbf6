# Omniglot recipe for any network. Derived configs add the backbone and the head's
# in_channels.
_base_ = [
    'models/cifar100_classifier.py',
    'datasets/omniglot_32x32.py',
    'classification_runtime.py',
    'schedules/schedule_omniglot_20e.py',
]
default_hooks = dict(checkpoint=dict(interval=5, max_keep_ckpts=1))
