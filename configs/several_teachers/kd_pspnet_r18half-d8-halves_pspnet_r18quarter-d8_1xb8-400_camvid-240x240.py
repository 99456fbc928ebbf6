_base_ = [
    '../pspnet/pspnet_r18quarter-d8_1xb8-400_camvid-240x240.py',
    '../methods/kd.py',
    '../_base_/teachers/pspnet_r18half_camvid_halves.py',
]
distill_losses = dict(
    loss_kd=dict(teacher='scene'), loss_objects=dict(type='KDLoss', teacher='objects')
)
