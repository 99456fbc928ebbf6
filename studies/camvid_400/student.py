# Images at half their size, scored at full size. In so few iterations the baseline gets
# further with AdamW than with SGD.
_base_ = [
    '../../configs/_base_/models/pspnet_r18quarter-d8.py',
    '../../configs/_base_/datasets/camvid_240x240.py',
    '../../configs/_base_/schedules/schedule_150.py',
    '../../configs/_base_/default_runtime.py',
]
crop_size = (144, 144)
model = dict(
    data_preprocessor=dict(size=crop_size),
    decode_head=dict(num_classes=11),
    auxiliary_head=dict(num_classes=11),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (240, 180)  # RandomResize
train_pipeline[3].crop_size = crop_size  # RandomCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (240, 180)  # Resize
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
optim_wrapper = dict(optimizer=dict(lr=0.005))
param_scheduler = _base_.param_scheduler
param_scheduler[1].end = 400
train_cfg = dict(max_iters=400, val_interval=400)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200))
