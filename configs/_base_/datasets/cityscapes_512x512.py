_base_ = './cityscapes_512x1024.py'

crop_size = (512, 512)
train_pipeline = _base_.train_pipeline
train_pipeline[3].crop_size = crop_size  # RandomCrop
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
