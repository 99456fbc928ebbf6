# From scratch, in bf16 on a GPU. A trial sets the number of iterations.
_base_ = '../../configs/pspnet/pspnet_r18-d8_1xb16-40k_camvid-360x360.py'
model = dict(pretrained=None)
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=500, by_epoch=False),
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=500, end=10000, by_epoch=False),
]
train_dataloader = dict(num_workers=8)
default_hooks = dict(checkpoint=dict(interval=2000, max_keep_ckpts=1))
