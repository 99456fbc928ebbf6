# OpenMMLab's published checkpoint, 79.76 mIoU on the validation set (single scale).
teacher = dict(
    config='{{ fileDirname }}/../../pspnet/'
    'pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py',
    checkpoint='https://download.openmmlab.com/mmsegmentation/v0.5/pspnet/'
    'pspnet_r101-d8_512x1024_80k_cityscapes/'
    'pspnet_r101-d8_512x1024_80k_cityscapes_20200606_112211-e1e1100f.pth',
)
