_base_ = [
    '../pspnet/pspnet_r18quarter-d8_1xb8-400_camvid-240x240.py',
    '../methods/bpkd.py',
    '../_base_/teachers/pspnet_r18half_camvid.py',
]
