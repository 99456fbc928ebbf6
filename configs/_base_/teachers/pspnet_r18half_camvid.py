# Train this teacher first; there is no published checkpoint.
teacher = dict(
    config='{{ fileDirname }}/../../pspnet/'
    'pspnet_r18half-d8_1xb8-1000_camvid-240x240.py',
    checkpoint='work_dirs/pspnet_r18half-d8_1xb8-1000_camvid-240x240/iter_1000.pth',
)
