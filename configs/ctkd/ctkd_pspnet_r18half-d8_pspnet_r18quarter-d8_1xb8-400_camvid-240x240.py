_base_ = [
    '../pspnet/pspnet_r18quarter-d8_1xb8-400_camvid-240x240.py',
    '../_base_/methods/ctkd.py',
    '../_base_/teachers/pspnet_r18half_camvid.py',
]
_base_.distill_losses.loss_ctkd.warmup = 20
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    distill_losses=_base_.distill_losses,
)
