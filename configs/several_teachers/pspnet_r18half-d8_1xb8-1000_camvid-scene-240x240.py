# Half of the classes; pixels of the others are ignored.
_base_ = '../pspnet/pspnet_r18half-d8_1xb8-1000_camvid-240x240.py'

classes = (
    'sky', 'building', 'road', 'pavement', 'tree',
)  # fmt: skip
model = dict(
    decode_head=dict(num_classes=5),
    auxiliary_head=dict(num_classes=5),
)
train_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
val_dataloader = dict(dataset=dict(metainfo=dict(classes=classes)))
test_dataloader = val_dataloader
