# Data and schedule of all networks, as in the CamVid study; the images are drawn at the
# size of the training. A trial sets the scenes and the number of iterations.
_base_ = [
    '../../configs/_base_/datasets/street_scenes_128x256.py',
    '../../configs/_base_/schedules/schedule_150.py',
    '../../configs/_base_/default_runtime.py',
]
crop_size = (96, 192)
train_pipeline = [
    dict(type='studies.cached_loading.CachedLoading'),
    *_base_.train_pipeline[2:],
]
# Without workers, the CPU time of the process includes the data loader.
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
speed = dict(channels_last=True)
optim_wrapper = dict(optimizer=dict(lr=0.005))
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=400, max_keep_ckpts=1)
)
custom_hooks = [dict(type='studies.cpu_time.CpuTimeHook')]
