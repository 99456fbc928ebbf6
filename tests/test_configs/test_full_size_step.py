"""One real training step of every full-size config, on images of half the size."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper

from mmkd.distillation import teacher
from mmkd.registry import MODELS
from tests.conftest import random_batch

CONFIGS = Path(__file__).parents[2] / 'configs'
SLOW = ['4xb2-80k_cityscapes-512x1024', '1xb16-40k_camvid-360x360']
SCALES = ['4xb2-40k_cityscapes-512x512']
SCALES += [pytest.param(scale, marks=pytest.mark.slow) for scale in SLOW]


@pytest.mark.parametrize('scale', SCALES)
def test_one_step(scale, monkeypatch):
    """The methods differ in the loss alone: one step does all their losses."""
    configs = [
        Config.fromfile(path)
        for path in sorted(CONFIGS.glob(f'*/*r101-d8_pspnet_r18-d8_{scale}.py'))
    ]
    assert len(configs) >= 5
    model = configs[0].model
    for config in configs[1:]:
        assert config.model.student == model.student
        assert config.model.teacher == model.teacher
    model.distill_losses = {
        f'loss_{number}': loss
        for number, config in enumerate(configs)
        for loss in config.model.distill_losses.values()
    }
    size = tuple(side // 2 for side in model.student.data_preprocessor.size)
    model.student.data_preprocessor.size = size  # to which images are padded
    model.student.pretrained = None  # would be downloaded, as the teacher's weights

    def random_weights(path, key):
        assert path == model.teacher.checkpoint
        network = teacher.inline_teacher(model.teacher)['model']
        return MODELS.build(Config(dict(model=network)).model).state_dict(), {}

    monkeypatch.setattr(teacher, 'load_weights', random_weights)
    distiller = MODELS.build(model)
    distiller.init_weights()
    distiller = revert_sync_batchnorm(distiller).train()
    classes = model.student.decode_head.num_classes
    students = sum(p.numel() for p in distiller.parameters())
    teachers = sum(p.numel() for p in distiller.teacher.parameters())
    assert students == pytest.approx(12.79e6, rel=1e-3)
    assert teachers == pytest.approx(67.97e6, rel=1e-3)

    batch = random_batch(size=size, classes=classes)
    before = distiller.student.decode_head.conv_seg.weight.clone()
    optim = OptimWrapper(torch.optim.SGD(distiller.parameters(), lr=0.01))
    log = distiller.train_step(batch, optim)
    assert len([name for name in log if name.startswith('distill.loss')]) == len(
        configs
    )
    assert all(torch.isfinite(value).all() for value in log.values())
    assert not torch.equal(distiller.student.decode_head.conv_seg.weight, before)
