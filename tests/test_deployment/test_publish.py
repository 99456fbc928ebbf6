import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from safetensors import safe_open
from safetensors.torch import load_file

from mmkd.deployment.plain_config import plain_config
from mmkd.deployment.publish import FORMATS, publish
from mmkd.engine.config import read_config
from mmkd.errors import UserError
from mmkd.registry import MODELS
from tests.test_tools.conftest import CONFIGS

from .networks import segmentor

LOSSES = dict(
    loss_kd=dict(type='KDLoss', tau=2.0, divergence=dict(type='ReverseKL')),
)
TEACHER = dict(config='nets/big.py', checkpoint='secret/place/big.pth')
META = dict(classes=('sky', 'road'), palette=[[1, 2, 3], [4, 5, 6]])


@pytest.fixture(scope='module')
def network():
    return segmentor()


@pytest.fixture
def config(tmp_path, network):
    (base,) = CONFIGS.glob('pspnet/pspnet_r18quarter-*.py')
    settings = Config.fromfile(base)
    settings.model.backbone.update(stem_channels=4, base_channels=4)
    settings.model.decode_head.update(in_channels=32, channels=4)
    settings.model.auxiliary_head.update(in_channels=16, channels=4)
    settings.merge_from_dict(dict(work_dir='secret/work', train_cfg=dict(max_iters=8)))
    settings.merge_from_dict(dict(runner_type='mmkd.DistillRunner', teacher=TEACHER))
    settings.distill_losses = LOSSES
    path = tmp_path / 'small.py'
    settings.dump(path)
    return Config.fromfile(path)


@pytest.fixture
def checkpoint(tmp_path, network):
    path = tmp_path / 'run' / 'iter_6.pth'
    path.parent.mkdir()
    torch.save(
        dict(
            state_dict=network.state_dict(),
            ema_state_dict=dict(weight=torch.ones(1)),
            optimizer=dict(state={0: torch.ones(10)}),
            message_hub=dict(log_scalars={}),
            meta=dict(iter=6, cfg='secret', dataset_meta=META),
        ),
        path,
    )
    for attempt, miou in (('20250101_000000', 1.5), ('20250102_000000', 42.25)):
        log = path.parent / attempt / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        records = [
            dict(lr=0.1, iter=6, step=6),
            dict(mIoU=miou, time=1.0, step=6),
            dict(mIoU=7.75, step=8),
        ]
        log.write_text('\n'.join(map(json.dumps, records)))
    return str(path)


def change(checkpoint, how):
    content = torch.load(checkpoint)
    how(content)
    torch.save(content, checkpoint)


def same(state, network):
    expected = network.state_dict()
    return state.keys() == expected.keys() and all(
        torch.equal(state[name], expected[name]) for name in expected
    )


def test_pth(config, checkpoint, network, tmp_path):
    path = publish(config, checkpoint, tmp_path / 'out')
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f'small-{digits}.pth'
    found = torch.load(path, weights_only=True)
    assert found.keys() == {'state_dict', 'meta'}
    assert found['meta'] == dict(dataset_meta=META)
    assert same(found['state_dict'], network)
    assert publish(config, checkpoint, tmp_path / 'again').name == path.name


def test_safetensors(config, checkpoint, network, tmp_path):
    path = publish(config, checkpoint, tmp_path / 'out', 'safetensors')
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f'small-{digits}.safetensors'
    assert same(load_file(path), network)
    with safe_open(path, 'pt') as file:
        notes = json.loads(file.metadata()['dataset_meta'])
    assert notes['classes'] == ['sky', 'road']
    assert f"load_file('{path.name}')" in path.with_name('README.md').read_text()


def test_nothing_of_the_run_is_in_the_folder(config, checkpoint, tmp_path):
    publish(config, checkpoint, tmp_path / 'out')
    files = {file.name: file.read_bytes() for file in (tmp_path / 'out').iterdir()}
    assert {Path(name).suffix for name in files} == {'.md', '.pth', '.py'}
    assert not any(b'secret' in content for content in files.values())
    assert b'mmkd' not in files['student.py']


def test_card_has_recipe_and_metrics(config, checkpoint, tmp_path):
    path = publish(config, checkpoint, tmp_path / 'out')
    card = path.with_name('README.md').read_text()
    assert '| loss_kd | KDLoss(divergence=ReverseKL(), tau=2.0) |' in card
    assert '| teacher | big, big.pth |' in card
    assert '| length | 6 of 8 iterations |' in card
    assert '| mIoU | 42.25 |' in card
    assert '1.50' not in card
    assert '7.75' not in card


def test_card_has_the_settings_of_the_run(config, checkpoint, tmp_path):
    """The card includes overrides of the command line, from the checkpoint."""
    used = Config(config.to_dict())
    used.merge_from_dict(
        {
            'distill_losses.loss_kd.tau': 7.0,
            'train_dataloader.batch_size': 3,
            'optim_wrapper.optimizer.lr': 0.123,
            'train_cfg.max_iters': 12,
        }
    )
    change(checkpoint, lambda content: content['meta'].update(cfg=used.pretty_text))
    card = publish(config, checkpoint, tmp_path / 'out').with_name('README.md')
    for text in ('tau=7.0', 'in batches of 3', 'lr=0.123', '6 of 12 iterations'):
        assert text in card.read_text()


@pytest.mark.parametrize('cfg', [3, torch.ones(2), 'import os', "model = 'a'", None])
def test_card_without_readable_settings(config, checkpoint, tmp_path, cfg):
    change(checkpoint, lambda content: content['meta'].update(cfg=cfg))
    card = publish(config, checkpoint, tmp_path / 'out').with_name('README.md')
    assert 'KDLoss(divergence=ReverseKL(), tau=2.0)' in card.read_text()


@pytest.mark.parametrize(
    'name', ['a|b', 'a\n| c | d |', '`', '<img src=x>', '[a](b)', '**', '&lt;', '\\']
)
def test_markup_in_the_card(config, checkpoint, tmp_path, name):
    """Names of metrics and settings stay text, in a table of two columns."""
    log = Path(checkpoint).parent / '20250103_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(json.dumps({f'x{name}y': 1.25, 'step': 6}))
    config.distill_losses.loss_kd.note = f'x{name}y'
    card = publish(config, checkpoint, tmp_path / 'out').with_name('README.md')
    rows = [line for line in card.read_text().splitlines() if line.startswith('|')]
    assert not any(re.search(r'(?<!\\)(\\\\)*[`<>&*\[]', row) for row in rows)
    cells = [re.split(r'(?<!\\)(?:\\\\)*\|', row)[1:-1] for row in rows]
    assert {len(row) for row in cells} == {2}
    unescaped = {re.sub(r'\\(.)', r'\1', text.strip()) for text, _ in cells}
    assert f'x{" ".join(name.split())}y' in {' '.join(t.split()) for t in unescaped}


def test_weights_are_contiguous_copies(config, checkpoint, network, tmp_path):
    """A view into a large storage would bring all of it along."""

    def spread(content):
        for name, value in content['state_dict'].items():
            if value.ndim == 4:
                large = torch.zeros(50, *value.shape)
                large[7] = value
                content['state_dict'][name] = large[7]

    plain = publish(config, checkpoint, tmp_path / 'plain')
    change(checkpoint, spread)
    path = publish(config, checkpoint, tmp_path / 'spread')
    assert path.read_bytes() == plain.read_bytes()
    state = torch.load(path)['state_dict']
    assert same(state, network)
    for value in state.values():
        assert value.is_contiguous()
        assert value.untyped_storage().nbytes() == value.nbytes


PURE_PYTHON = """
from mmengine.config import read_base
from mmkd import DistillRunner
from mmkd.datasets import CamVidDataset
from mmkd.losses import KDLoss
with read_base():
    from .small_base import *
runner_type = DistillRunner
teacher = dict(model=model, checkpoint='secret/place/big.pth')
distill_losses = dict(loss_kd=dict(type=KDLoss, tau=2.0))
train_dataloader = dict(dataset=dict(type=CamVidDataset))
"""


def test_pure_python_config(config, checkpoint, tmp_path):
    plain = plain_config(config)
    plain.dump(tmp_path / 'small_base.py')
    (tmp_path / 'pure.py').write_text(PURE_PYTHON)
    path = publish(read_config(tmp_path / 'pure.py'), checkpoint, tmp_path / 'out')
    card = path.with_name('README.md').read_text()
    assert '| loss_kd | KDLoss(tau=2.0) |' in card
    assert '| data | CamVidDataset, in batches of 1 ' in card
    assert 'mmkd' not in path.with_name('student.py').read_text()
    assert read_config(path.with_name('student.py')).model == plain.model


def test_card_without_a_log(config, checkpoint, tmp_path):
    moved = tmp_path / 'alone' / 'weights.pth'
    moved.parent.mkdir()
    shutil.copy(checkpoint, moved)
    path = publish(config, str(moved), tmp_path / 'out')
    assert 'None: there is no log' in path.with_name('README.md').read_text()


def test_weights_of_another_network(config, checkpoint, tmp_path):
    config.model.decode_head.num_classes = 5
    with pytest.raises(
        UserError, match=r"^checkpoint: '.*' does not match .* classes\?$"
    ):
        publish(config, checkpoint, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_folder_that_cannot_be_written(config, checkpoint, tmp_path):
    (tmp_path / 'out').touch()
    with pytest.raises(UserError, match=r"^--out: '.*' cannot be written: "):
        publish(config, checkpoint, tmp_path / 'out')


@pytest.mark.parametrize('kind', FORMATS)
def test_a_classifiers_card_runs(kind, tmp_path, monkeypatch):
    config = Config.fromfile(CONFIGS / 'omniglot/resnet8half_20e_omniglot.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(config.model)
    torch.save(dict(state_dict=network.state_dict(), meta={}), tmp_path / 'a.pth')
    path = publish(config, str(tmp_path / 'a.pth'), tmp_path / 'out', kind)
    card = path.with_name('README.md').read_text()
    assert 'with mmpretrain and mmkd installed' in card
    usage = re.search(r'```python\n(.+?)```', card, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path / 'out')
    usage = usage.replace('image.png', str(CONFIGS.parent / 'docs/demo.png'))
    names = {}
    with DefaultScope.overwrite_default_scope('mmpretrain'):  # not another test's
        exec(usage, names)
    assert same(names['classify'].model.state_dict(), network)
    assert names['result']['pred_scores'].shape == (156,)
