_base_ = [
    '../pspnet/pspnet_r18-d8_4xb2-320k_cityscapes-512x1024.py',
    '../methods/feature_mse.py',
    '../_base_/teachers/pspnet_r101_cityscapes.py',
]
# The features before the classifier, as in CIRKD's code.
distill_losses = dict(
    loss_feature=dict(
        student='decode_head.bottleneck', teacher='decode_head.bottleneck'
    )
)
