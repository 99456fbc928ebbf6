# DeepLabV3 of torchvision. weights_backbone='DEFAULT' downloads weights.
_base_ = [
    '../_base_/datasets/camvid_240x240.py',
    '../_base_/schedules/schedule_400.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='mmkd.TorchSegmentor',
    module=dict(
        type='torchvision.models.segmentation.deeplabv3_resnet50',
        num_classes=11,
        weights_backbone=None,
    ),
    output='out',
    mean=[0.485, 0.456, 0.406],
    std=[0.229, 0.224, 0.225],
    data_preprocessor=dict(size=_base_.crop_size),
)
