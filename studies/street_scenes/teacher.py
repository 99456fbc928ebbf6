# The teacher of the CamVid study, with 19 classes and without class weights.
_base_ = ['../camvid/upernet_efficientnet.py', './recipe.py']
model = dict(data_preprocessor=dict(size=_base_.crop_size))
optim_wrapper = dict(
    optimizer=dict(lr=0.001),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.2)}),
)
