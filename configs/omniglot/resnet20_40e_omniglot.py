_base_ = '../_base_/omniglot_20e.py'
model = dict(
    backbone=dict(type='mmkd.CIFARResNet', depth=20),
    head=dict(in_channels=64, num_classes=156),
)
train_dataloader = dict(batch_size=64)
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = dict(T_max=40)
train_cfg = dict(max_epochs=40)
