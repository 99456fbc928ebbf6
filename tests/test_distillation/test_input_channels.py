"""Networks for images of other channels: one line before the first iteration."""

import pytest
import torch
from mmpretrain.models import ClsDataPreprocessor
from torch import nn

from mmkd.distillation.input_channels import check_input_channels
from mmkd.distillation.normalization import NormalizationBridge
from mmkd.errors import UserError
from tests.conftest import build, build_distiller, network

SIX = [100.0] * 6


@pytest.mark.parametrize('of', ['model', 'teacher.model'])
def test_a_backbone_for_other_channels(of, distiller_config, tmp_path):
    distiller_config['model']['backbone']['in_channels'] = 6 if of == 'model' else 3
    teacher = distiller_config['teacher']['model']
    if of == 'teacher.model':
        teacher['backbone']['in_channels'] = 6
        weights = str(tmp_path / 'six.pth')
        torch.save(build(teacher).state_dict(), weights)
        distiller_config['teacher']['checkpoint'] = weights
    message = rf'^{of}\.backbone\.in_channels: 6, but the images have 3 channels'
    with pytest.raises(UserError, match=message):
        build_distiller(distiller_config)


def test_images_of_other_channels():
    """The teacher was trained on images of three channels."""
    ours = ClsDataPreprocessor(mean=SIX, std=SIX)
    theirs = build(network()).data_preprocessor
    message = r"^teacher\.model\.data_preprocessor\.mean: 3 values, .* student's has 6"
    with pytest.raises(UserError, match=message):
        NormalizationBridge(ours, theirs)


class Shuffled(nn.Module):
    """Network that moves 2 x 2 pixels into the channels first."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, 4, 3))


@pytest.mark.parametrize('make', [Shuffled, lambda: build(network())])
def test_a_network_that_accepts_the_images(make):
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    check_input_channels(model, build(network()).data_preprocessor, 'model')
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_nothing_is_known_without_a_mean():
    model = build(network())
    model.backbone.stem[0] = nn.Conv2d(6, 4, 3)
    check_input_channels(model, nn.Identity(), 'model')
