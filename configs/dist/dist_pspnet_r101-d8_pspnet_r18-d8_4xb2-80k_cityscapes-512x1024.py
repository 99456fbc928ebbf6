_base_ = [
    '../pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/methods/dist.py',
    '../_base_/teachers/pspnet_r101_cityscapes.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    distill_losses=_base_.distill_losses,
)
