# A frozen backbone of timm and a linear layer. pretrained=True downloads its weights,
# without which there is nothing to learn for the layer.
_base_ = [
    '../_base_/datasets/camvid_240x240.py',
    '../_base_/schedules/schedule_400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmkd.TorchSegmentor',
    module=dict(
        type='mmkd.models.LinearSegmentor',
        backbone=dict(
            type='timm.create_model',
            model_name='vit_small_patch16_224',
            pretrained=False,
            dynamic_img_size=True,
        ),
        num_classes=11,
    ),
    mean=[0.5, 0.5, 0.5],
    std=[0.5, 0.5, 0.5],
    # The crop is a multiple of the patches of 16 pixels, other images are padded.
    data_preprocessor=dict(size=_base_.crop_size, test_cfg=dict(size_divisor=16)),
)
