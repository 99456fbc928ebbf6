# Train this teacher first; there is no published checkpoint.
teacher = dict(
    config='{{ fileDirname }}/../../pspnet/pspnet_r101-d8_1xb16-40k_camvid-360x360.py',
    checkpoint='work_dirs/pspnet_r101-d8_1xb16-40k_camvid-360x360/iter_40000.pth',
)
