_base_ = [
    '../pspnet/pspnet_r18-d8_4xb2-40k_cityscapes-512x512.py',
    '../methods/kd.py',
    '../_base_/teachers/pspnet_r101_cityscapes.py',
]
