# Data and schedule of all networks: images at half their size, scored at full size.
# A trial sets the number of iterations.
_base_ = [
    '../../configs/_base_/datasets/camvid_240x240.py',
    '../../configs/_base_/schedules/schedule_150.py',
    '../../configs/_base_/default_runtime.py',
]
crop_size = (144, 144)
train_pipeline = [
    dict(type='studies.cached_loading.CachedLoading'),
    *_base_.train_pipeline[2:],
]
train_pipeline[1].scale = (240, 180)  # RandomResize
train_pipeline[2].crop_size = crop_size  # RandomCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (240, 180)  # Resize
# Without workers, the CPU time of the process includes the data loader.
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline)
)
test_dataloader = val_dataloader
speed = dict(channels_last=True)
# Fused AdamW makes the smallest student's step a tenth shorter.
optim_wrapper = dict(optimizer=dict(lr=0.005, fused=True))
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=400, max_keep_ckpts=1)
)
custom_hooks = [dict(type='studies.cpu_time.CpuTimeHook')]
