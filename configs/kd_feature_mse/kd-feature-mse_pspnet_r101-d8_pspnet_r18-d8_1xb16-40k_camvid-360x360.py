_base_ = [
    '../pspnet/pspnet_r18-d8_1xb16-40k_camvid-360x360.py',
    '../methods/kd_feature_mse.py',
    '../_base_/teachers/pspnet_r101_camvid.py',
]
