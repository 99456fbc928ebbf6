_base_ = [
    '../pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    '../methods/abkd.py',
    '../_base_/teachers/pspnet_r101_cityscapes.py',
]
