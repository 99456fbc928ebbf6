"""The methods on two classes, by a softmax, one sigmoid or two sigmoids."""

from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from PIL import Image

from mmkd.losses import CTKDLoss, CWDLoss, KDLoss
from mmkd.losses.schedule import Progress
from tests.conftest import build, build_distiller, network, random_batch

from .files import CONFIGS, train

MMSEG = Path(mmseg.__file__).parent / '.mim' / 'configs' / '_base_'
METHODS = [
    path
    for path in sorted((CONFIGS / 'methods').glob('*.py'))
    if 'standardize=True' in path.read_text()
]
SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
HEADS = {
    'softmax': dict(num_classes=2, loss_decode=dict(type='CrossEntropyLoss')),
    'one sigmoid': dict(
        num_classes=2, out_channels=1, threshold=0.5, loss_decode=SIGMOID
    ),
    'two sigmoids': dict(num_classes=2, loss_decode=SIGMOID),
}
COMPARE_SIGMOIDS = (KDLoss, CTKDLoss, CWDLoss)


def write_drive(folder):
    """Images and labels of DRIVE's format: vessels are the bright lines."""
    rng = np.random.default_rng(0)
    for split in ('training', 'validation'):
        for kind in ('images', 'annotations'):
            (folder / kind / split).mkdir(parents=True)
        for number in range(2):
            label = np.zeros((80, 96), np.uint8)
            label[::8] = label[:, ::12] = 1
            image = rng.integers(0, 60, (*label.shape, 3)) + 150 * label[..., None]
            image = Image.fromarray(image.astype(np.uint8))
            image.save(folder / 'images' / split / f'{number}.png')
            label = Image.fromarray(label)
            label.save(folder / 'annotations' / split / f'{number}_manual1.png')


@pytest.mark.parametrize(
    'head',
    [
        'softmax',
        pytest.param('one sigmoid', marks=pytest.mark.slow),
        pytest.param('two sigmoids', marks=pytest.mark.slow),
    ],
)
def test_recommended_method_on_drive(head, tmp_path):
    """Fast-SCNN with mmseg's config of DRIVE; its own head has sigmoids."""
    write_drive(tmp_path / 'DRIVE')
    text = '\n'.join(
        [
            f'_base_ = ["{MMSEG}/models/fast_scnn.py", "{MMSEG}/datasets/drive.py",',
            f'    "{MMSEG}/default_runtime.py", "{MMSEG}/schedules/schedule_40k.py",',
            f'    "{CONFIGS}/methods/bdd_ls_sc_cb.py"]',
        ]
    )
    (tmp_path / 'distill.py').write_text(text)
    config = Config.fromfile(tmp_path / 'distill.py')
    config.model.data_preprocessor.size = (64, 64)
    config.model.backbone.norm_cfg.type = 'BN'
    for part in (config.model.decode_head, *config.model.auxiliary_head):
        part.norm_cfg.type = 'BN'
        part.update(HEADS[head])
    with DefaultScope.overwrite_default_scope('mmseg'):
        weights = MODELS.build(config.model).state_dict()
    torch.save(weights, tmp_path / 'teacher.pth')
    config.teacher = dict(
        model=config.model.to_dict(), checkpoint=str(tmp_path / 'teacher.pth')
    )
    config.train_dataloader.dataset.dataset.data_root = str(tmp_path / 'DRIVE')
    config.val_dataloader.dataset.data_root = str(tmp_path / 'DRIVE')
    config.train_dataloader.dataset.dataset.pipeline[2].scale = (96, 80)
    config.val_dataloader.dataset.pipeline[1].scale = (96, 80)
    config.train_dataloader.batch_size = 2
    for key in ('tta_pipeline', 'img_ratios', 'test_dataloader'):  # slow to print
        config.pop(key)
    config.test_cfg = config.test_evaluator = None
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.default_hooks.logger.interval = 1
    runner = train(config, tmp_path)
    history = runner.message_hub.get_scalar('train/distill.loss_kd')
    assert history.data[0].shape == (2,)
    assert (history.data[0] > 0).all()
    assert 'mDice' in str(runner.message_hub.log_scalars.keys())


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('method', METHODS, ids=lambda path: path.stem)
def test_losses_decrease_on_a_repeated_batch(method, head, tmp_path):
    losses = Config.fromfile(method).to_dict()['distill_losses']
    if head != 'softmax':
        sigmoid = {kind.__name__ for kind in COMPARE_SIGMOIDS}
        if {loss['type'] for loss in losses.values()} - sigmoid:
            pytest.skip('refused; see test_head_settings.py')
    student, teacher = (network(width=width) for width in (8, 16))
    for config in (student, teacher):
        config['decode_head'].update(HEADS[head], dropout_ratio=0)
        del config['auxiliary_head']
    torch.manual_seed(0)
    weights = build(teacher).state_dict()
    for name in weights:
        if 'conv_seg' in name:  # a teacher with opinions
            weights[name] = 100 * weights[name]
    torch.save(weights, tmp_path / 'teacher.pth')
    distiller = build_distiller(
        dict(
            model=student,
            teacher=dict(model=teacher, checkpoint=str(tmp_path / 'teacher.pth')),
            distill_losses=losses,
        )
    )
    distiller.train()
    distiller.progress = Progress(99, max_iterations=100)
    data = distiller.data_preprocessor(random_batch(classes=2), True)
    optimizer = torch.optim.Adam(distiller.student.parameters(), lr=0.01)
    found = []
    for _ in range(12):
        values = distiller(**data, mode='loss')
        total = sum(values[f'distill.{name}'] for name in losses)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        found.append(total.item())
    assert all(value > 0 for value in found)
    assert found[-1] < 0.9 * found[0], found
