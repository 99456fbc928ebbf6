# The images are black ink on white, so shifts fill the border with white.
data_preprocessor = dict(
    num_classes=156, mean=[127.5] * 3, std=[127.5] * 3, to_rgb=False
)
train_pipeline = [
    dict(type='Resize', scale=32, interpolation='area'),
    dict(type='NumpyToPIL'),
    dict(
        type='torchvision/RandomAffine',
        degrees=10,
        translate=(0.1, 0.1),
        scale=(0.9, 1.1),
        shear=10,
        interpolation='bilinear',
        fill=255,
    ),
    dict(type='PILToNumpy'),
    dict(type='PackInputs'),
]
test_pipeline = [
    dict(type='Resize', scale=32, interpolation='area'),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='mmkd.Omniglot',
        data_root='data/omniglot',
        split='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmkd.Omniglot',
        data_root='data/omniglot',
        split='test',
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_dataloader = val_dataloader
test_evaluator = val_evaluator
