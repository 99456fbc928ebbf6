# The teacher of the CamVid study, with 19 classes.
_base_ = ['../camvid/fpn_efficientnet.py', './recipe.py']
model = dict(data_preprocessor=dict(size=_base_.crop_size))
optim_wrapper = dict(optimizer=dict(lr=0.001))
