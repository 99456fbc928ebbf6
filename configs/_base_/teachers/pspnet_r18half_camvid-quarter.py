# Train this teacher first; there is no published checkpoint.
teacher = dict(
    config='{{ fileDirname }}/../../unlabeled/'
    'pspnet_r18half-d8_1xb8-1000_camvid-quarter-240x240.py',
    checkpoint='work_dirs/pspnet_r18half-d8_1xb8-1000_camvid-quarter-240x240/'
    'iter_1000.pth',
)
