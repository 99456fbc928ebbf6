_base_ = [
    '../pspnet/pspnet_r18quarter-d8_1xb8-400_camvid-240x240.py',
    '../_base_/methods/bdd_ls.py',
    '../_base_/teachers/pspnet_r18half_camvid.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    distill_losses=_base_.distill_losses,
)
