import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from mmseg.models import SegDataPreProcessor

from mmkd.distillation.normalization import NormalizationBridge

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5] * 3, std=[127.5] * 3)


def preprocess(preprocessor, image):
    data = preprocessor(dict(inputs=[image]))
    return data['inputs']


PREPROCESSORS = [
    lambda: ImgDataPreprocessor(**IMAGENET, bgr_to_rgb=True),
    lambda: ImgDataPreprocessor(**IMAGENET),
    lambda: ImgDataPreprocessor(**HALF),
    lambda: ImgDataPreprocessor(),
    lambda: SegDataPreProcessor(**HALF, bgr_to_rgb=True),
]


@pytest.mark.parametrize('source', PREPROCESSORS)
@pytest.mark.parametrize('target', PREPROCESSORS)
def test_gives_what_the_target_would_have_given(source, target):
    image = torch.randint(0, 256, (3, 8, 8)).float()
    source, target = source(), target()
    bridged = NormalizationBridge(source, target)(preprocess(source, image))
    torch.testing.assert_close(
        bridged, preprocess(target, image).float(), rtol=1e-5, atol=1e-4
    )


def test_leaves_alike_images_alone():
    one, other = (SegDataPreProcessor(**IMAGENET, bgr_to_rgb=True) for _ in range(2))
    images = torch.rand(1, 3, 4, 4)
    assert NormalizationBridge(one, other)(images) is images
