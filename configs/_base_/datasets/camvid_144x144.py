# Images at half their size: for studies of many runs, on a CPU. Scored at full size.
_base_ = './camvid_240x240.py'

crop_size = (144, 144)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = (240, 180)  # RandomResize
train_pipeline[3].crop_size = crop_size  # RandomCrop
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = (240, 180)  # Resize
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
