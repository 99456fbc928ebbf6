_base_ = [
    './pspnet_r18quarter-d8_1xb8-400_camvid-quarter-240x240.py',
    '../methods/kd.py',
    '../_base_/teachers/pspnet_r18half_camvid-quarter.py',
    '../_base_/datasets/camvid_unlabeled_240x240.py',
]
