_base_ = [
    '../pspnet/pspnet_r18-d8_4xb2-40k_cityscapes-512x512.py',
    '../_base_/methods/kd.py',
    '../_base_/teachers/pspnet_r101_cityscapes.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    distill_losses=_base_.distill_losses,
)
