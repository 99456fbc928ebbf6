"""The tools on classifiers, with the configs for Omniglot and a little of it."""

import json
import re

import pytest
import torch
from mmpretrain.apis import init_model

from mmkd.checkpoint import weights_only_by_default
from tests.test_datasets.omniglot import write_archive

from .conftest import CONFIGS, Workbench

NETWORK = """
_base_ = '{base}'
model = dict(backbone=dict(depth=8), head=dict(num_classes=5))
data_preprocessor = dict(num_classes=5)
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=1))
randomness = dict(seed=0)
data = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root='data')
)
train_dataloader = dict(batch_size=24, **data)
val_dataloader = data
test_dataloader = data
"""


@pytest.fixture(scope='module')
def bench(tmp_path_factory):
    """A folder with data, ``teacher.py`` and ``student.py``."""
    bench = Workbench(tmp_path_factory.mktemp('classification'))
    write_archive(bench.folder / 'data')
    for name, base in (('teacher', 'resnet20_40e'), ('student', 'resnet8half_20e')):
        base = CONFIGS / f'omniglot/{base}_omniglot.py'
        bench.write(f'{name}.py', NETWORK.format(base=base))
    return bench


@pytest.fixture(scope='module')
def teacher(bench):
    """The arguments of a distillation, whose teacher is trained."""
    bench.run('train.py', 'teacher.py', '--work-dir', 'teacher')
    return ['student.py', '--teacher', 'teacher.py', 'teacher/epoch_2.pth', '--method']


def accuracies(result):
    return re.findall(r'accuracy/top1: ([\d.]+)', result.output)


@pytest.fixture(scope='module')
def distilled(bench, teacher):
    return bench.run('train.py', *teacher, 'cifar100/ctkd_ls', '--work-dir', 'ctkd')


def test_training(distilled):
    assert 'Teacher on 30 of 30 images: accuracy/top1: ' in distilled.output
    for name in ('loss', 'weight', 'tau', 'lambda'):
        assert f'distill.{name}_ctkd: ' in distilled.output


def test_log_has_the_sum_of_the_losses_and_each(bench, distilled):
    (log,) = bench.folder.glob('ctkd/*/vis_data/scalars.json')
    records = [json.loads(line) for line in log.read_text().splitlines()]
    training = [record for record in records if 'iter' in record]
    assert training
    for record in training:
        parts = record['task.loss'] + record['distill.loss_ctkd']
        assert record['loss'] == pytest.approx(parts, rel=1e-5)


def test_testing_gives_the_last_validation(bench, distilled):
    """Evaluate with the config written by the training."""
    tested = bench.run('test.py', 'ctkd/student.py', 'ctkd/epoch_2.pth')
    assert accuracies(tested)[-1] == accuracies(distilled)[-1]


def test_the_checkpoint_is_a_plain_classifiers(bench, distilled):
    """MMPretrain's tools load it; theta is stored next to the weights."""
    path = bench.folder / 'ctkd/epoch_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    assert list(checkpoint['distill_losses']) == ['loss_ctkd.theta']
    with weights_only_by_default():
        config = str(bench.folder / 'ctkd/student.py')
        model = init_model(config, str(path), device='cpu')
    assert type(model).__name__ == 'ImageClassifier'
    assert set(checkpoint['state_dict']) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, checkpoint['state_dict'][name])


def test_resume(bench, teacher, distilled):
    """Theta continues from where it was."""
    before = torch.load(bench.folder / 'ctkd/epoch_2.pth', weights_only=False)
    bench.run(
        'train.py', 'ctkd/student.py', '--work-dir', 'ctkd', '--resume',
        '--cfg-options', 'train_cfg.max_epochs=3',
    )  # fmt: skip
    after = torch.load(bench.folder / 'ctkd/epoch_3.pth', weights_only=False)
    thetas = [state['distill_losses']['loss_ctkd.theta'] for state in (before, after)]
    assert 1 != thetas[0] != thetas[1]
    assert abs(thetas[1] - thetas[0]) < abs(thetas[0] - 1) + 0.1
    assert after['meta']['epoch'] == 3


@pytest.mark.parametrize(
    ('method', 'options', 'expected'),
    [
        (
            'ctkd_ls',
            ['distill_losses.loss_ctkd.t_end=0.5'],
            'distill_losses.loss_ctkd: CTKDLoss needs t_start < t_end',
        ),
        (
            'mlkd_ls',
            ['train_dataloader.batch_size=24'],
            'distill_losses.loss_mlkd: views=2 needs vectors, first the weak view of',
        ),
        (
            'dkd_ls',
            [
                'model.train_cfg.augments.type=Mixup',
                'model.train_cfg.augments.alpha=0.8',
                'model.head.loss.use_soft=True',
            ],
            'distill_losses.loss_dkd: DKDLoss needs the class of each position, '
            'but got soft labels',
        ),
        (
            'dkd_ls',
            ['train_dataloader.dataset.subset=images_evaluation'],
            "data_root: 'data' has neither images_evaluation/ nor images_evaluation.",
        ),
        (
            'kd',
            ['distill_losses.loss_kd.type=mmkd.CWDLoss'],
            'distill_losses.loss_kd: CWDLoss compares maps',
        ),
    ],
    ids=['bounds', 'views', 'mixup', 'omniglot', 'cwd'],
)
def test_bad_input(bench, teacher, method, options, expected):
    config = bench.write(
        f'bad_{method}.py',
        f"_base_ = ['student.py', '{CONFIGS}/methods/cifar100/{method}.py']\n"
        "teacher = dict(config='teacher.py', checkpoint='teacher/epoch_2.pth')\n",
    )
    result = bench.run('train.py', config, '--cfg-options', *options, code=1)
    (error,) = [
        line for line in result.output.splitlines() if line.startswith('error: ')
    ]
    assert error.startswith(f'error: {expected}')
    assert 'Traceback' not in result.output
