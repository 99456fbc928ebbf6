_base_ = [
    '../pspnet/pspnet_r18-d8_1xb16-40k_camvid-360x360.py',
    '../_base_/methods/dkd_ls.py',
    '../_base_/teachers/pspnet_r101_camvid.py',
]
model = dict(
    _delete_=True,
    type='mmkd.Distiller',
    student=_base_.model,
    teacher=_base_.teacher,
    distill_losses=_base_.distill_losses,
)
