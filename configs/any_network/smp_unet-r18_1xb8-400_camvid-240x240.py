# Unet of segmentation_models_pytorch. encoder_weights='imagenet' downloads weights.
_base_ = [
    '../_base_/datasets/camvid_240x240.py',
    '../_base_/schedules/schedule_400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmkd.TorchSegmentor',
    module=dict(
        type='segmentation_models_pytorch.Unet',
        encoder_name='resnet18',
        encoder_weights=None,
        encoder_depth=4,
        decoder_channels=(256, 128, 64, 32),
        classes=11,
    ),
    mean=[0.485, 0.456, 0.406],
    std=[0.229, 0.224, 0.225],
    # Of this depth it needs multiples of 16, to which other images are padded.
    data_preprocessor=dict(size=_base_.crop_size, test_cfg=dict(size_divisor=16)),
)
