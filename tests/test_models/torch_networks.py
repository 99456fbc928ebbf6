"""Small networks of other libraries, as a config names them."""

from torch import nn

CLASSES = 5
TRANSFORMERS = 'transformers'
VIT = dict(hidden_size=16, num_hidden_layers=4, num_attention_heads=2)
VIT |= dict(intermediate_size=16)
SWIN = dict(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4)
SWIN |= dict(image_size=64, out_features=['stage1', 'stage2', 'stage3', 'stage4'])
RESNET = dict(embedding_size=8, hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1])
RESNET |= dict(layer_type='basic', out_features=['stage1', 'stage2', 'stage3'])
RESNET['out_features'] += ['stage4']
MASKS = ('class_queries_logits', 'masks_queries_logits')
SMP = dict(encoder_name='mobilenet_v2', classes=CLASSES)


def hugging_face(model, config, **arguments):
    """A network of Transformers, in training from scratch."""
    config = dict(type=f'{TRANSFORMERS}.{config}', num_labels=CLASSES, **arguments)
    return dict(type=f'{TRANSFORMERS}.{model}', config=config)


def nested(config, **arguments):
    return dict(type=f'{TRANSFORMERS}.{config}', **arguments)


MAPS = {  # the module and where its logits are
    'SegFormer': (
        hugging_face(
            'SegformerForSemanticSegmentation',
            'SegformerConfig',
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=16,
        ),
        'logits',
    ),
    'UperNet': (
        hugging_face(
            'UperNetForSemanticSegmentation',
            'UperNetConfig',
            backbone_config=nested('ResNetConfig', **RESNET),
            hidden_size=16,
            auxiliary_channels=8,
            auxiliary_in_channels=16,
        ),
        'logits',
    ),
    'DPT': (
        hugging_face(
            'DPTForSemanticSegmentation',
            'DPTConfig',
            **VIT,
            image_size=64,
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 16, 16],
            fusion_hidden_size=16,
            is_hybrid=False,
        ),
        'logits',
    ),
    'Mask2Former': (
        hugging_face(
            'Mask2FormerForUniversalSegmentation',
            'Mask2FormerConfig',
            backbone_config=nested('SwinConfig', **SWIN),
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
            encoder_layers=1,
            encoder_feedforward_dim=16,
            decoder_layers=2,
            dim_feedforward=16,
            num_attention_heads=2,
            num_queries=8,
        ),
        MASKS,
    ),
    'EoMT': (
        hugging_face(
            'EomtForUniversalSegmentation',
            'EomtConfig',
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            mlp_ratio=1,
            image_size=64,
            num_blocks=1,
            num_queries=8,
            num_upscale_blocks=1,
        ),
        MASKS,
    ),
    'Unet': (dict(type='segmentation_models_pytorch.Unet', **SMP), None),
    'FPN': (dict(type='segmentation_models_pytorch.FPN', **SMP), None),
    'DeepLabV3Plus': (
        dict(type='segmentation_models_pytorch.DeepLabV3Plus', **SMP),
        None,
    ),
    'DeepLabV3': (
        dict(
            type='torchvision.models.segmentation.deeplabv3_resnet50',
            num_classes=CLASSES,
        ),
        'out',
    ),
    'LRASPP': (
        dict(
            type='torchvision.models.segmentation.lraspp_mobilenet_v3_large',
            num_classes=CLASSES,
        ),
        'out',
    ),
    'timm ResNet': (
        dict(
            type='mmkd.models.LinearSegmentor',
            backbone=dict(type='timm.create_model', model_name='test_resnet'),
            num_classes=CLASSES,
        ),
        None,
    ),
    'timm ViT': (
        dict(
            type='mmkd.models.LinearSegmentor',
            backbone=dict(
                type='timm.create_model', model_name='test_vit', dynamic_img_size=True
            ),
            num_classes=CLASSES,
        ),
        None,
    ),
}
VECTORS = {
    'ViT': (
        hugging_face(
            'ViTForImageClassification',
            'ViTConfig',
            **VIT,
            image_size=32,
            patch_size=8,
        ),
        'logits',
    ),
    'timm': (
        dict(type='timm.create_model', model_name='test_resnet', num_classes=CLASSES),
        None,
    ),
    'torchvision': (
        dict(type='torchvision.models.squeezenet1_1', num_classes=CLASSES),
        None,
    ),
}


class Plain(nn.Sequential):
    """A small network of one's own."""

    def __init__(self, outputs=CLASSES, width=8):
        super().__init__(
            nn.Conv2d(3, width, 3, stride=4, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, outputs, 1),
        )
