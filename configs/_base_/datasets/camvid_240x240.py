# For small networks on a CPU: smaller crop and batch, fewer workers.
_base_ = './camvid_360x360.py'

crop_size = (240, 240)
train_pipeline = _base_.train_pipeline
train_pipeline[3].crop_size = crop_size  # RandomCrop
train_dataloader = dict(
    batch_size=8, num_workers=2, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=1)
test_dataloader = val_dataloader
