"""The tools on classifiers, with the configs for Omniglot and a little of it."""

import json
import re

import pytest
import torch
from mmpretrain.apis import init_model

from mmkd.checkpoint import only_weights
from tests.test_datasets.omniglot import write_archive

from .conftest import CONFIGS, Workbench

TEACHER = CONFIGS / 'omniglot/resnet20_40e_omniglot.py'
CTKD = CONFIGS / 'ctkd/ctkd-ls_omniglot.py'
KD = CONFIGS / 'kd/kd_omniglot.py'
DKD = CONFIGS / 'dkd/dkd-ls_omniglot.py'
MLKD = CONFIGS / 'mlkd/mlkd-ls_omniglot.py'


@pytest.fixture(scope='module')
def options(tmp_path_factory):
    """A folder to run in, and the overrides that make a run small."""
    folder = tmp_path_factory.mktemp('classification')
    write_archive(folder / 'data')
    given = ['model.backbone.depth=8', 'model.head.num_classes=5']
    given += ['train_cfg.max_epochs=2', 'train_cfg.val_interval=1']
    given += ['default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1']
    given += ['train_dataloader.batch_size=24', 'randomness.seed=0']
    given += ['data_preprocessor.num_classes=5']
    for split in ('train', 'val', 'test'):
        given.append(f'{split}_dataloader.dataset.data_root=data')
        given.append(f'{split}_dataloader.num_workers=0')
        given.append(f'{split}_dataloader.persistent_workers=False')
    return folder, given


@pytest.fixture(scope='module')
def bench(options):
    return Workbench(options[0])


@pytest.fixture(scope='module')
def teacher(bench, options):
    """The options of a distillation, whose teacher is trained."""
    bench.run(
        'train.py', TEACHER, '--work-dir', 'teacher', '--cfg-options', *options[1]
    )
    checkpoint = bench.folder / 'teacher/epoch_2.pth'
    text = TEACHER.read_text().replace('depth=20', 'depth=8').replace('156', '5')
    text = text.replace("'../_base_", f"'{CONFIGS}/_base_")
    config = bench.write('teacher.py', text)
    given = [
        option.replace('model.', 'model.student.')
        for option in options[1]
        if 'depth' not in option
    ]
    return [
        *given,
        f'model.teacher.checkpoint={checkpoint}',
        f'model.teacher.config={config}',
    ]


def accuracies(result):
    return re.findall(r'accuracy/top1: ([\d.]+)', result.output)


@pytest.fixture(scope='module')
def distilled(bench, teacher):
    return bench.run('train.py', CTKD, '--work-dir', 'ctkd', '--cfg-options', *teacher)


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


def test_testing_gives_the_last_validation(bench, teacher, distilled):
    tested = bench.run(
        'test.py', CTKD, 'ctkd/epoch_2.pth', '--work-dir', 'tested', '--cfg-options',
        *teacher,
    )  # fmt: skip
    assert accuracies(tested)[-1] == accuracies(distilled)[-1]


def test_the_checkpoint_is_a_plain_classifiers(bench, distilled):
    """For MMPretrain's own tools; theta is beside the weights."""
    path = bench.folder / 'ctkd/epoch_2.pth'
    checkpoint = torch.load(path, weights_only=False)
    assert list(checkpoint['distill_losses']) == ['loss_ctkd.theta']
    with only_weights():
        config = str(bench.folder / 'ctkd/student.py')
        model = init_model(config, str(path), device='cpu')
    assert type(model).__name__ == 'ImageClassifier'
    assert set(checkpoint['state_dict']) == set(model.state_dict())
    for name, value in model.state_dict().items():
        assert torch.equal(value, checkpoint['state_dict'][name])


def test_resume(bench, teacher, distilled):
    """Theta goes on from where it was."""
    before = torch.load(bench.folder / 'ctkd/epoch_2.pth', weights_only=False)
    bench.run(
        'train.py', CTKD, '--work-dir', 'ctkd', '--resume', '--cfg-options', *teacher,
        'train_cfg.max_epochs=3',
    )  # fmt: skip
    after = torch.load(bench.folder / 'ctkd/epoch_3.pth', weights_only=False)
    thetas = [state['distill_losses']['loss_ctkd.theta'] for state in (before, after)]
    assert 1 != thetas[0] != thetas[1]
    assert abs(thetas[1] - thetas[0]) < abs(thetas[0] - 1) + 0.1
    assert after['meta']['epoch'] == 3


@pytest.mark.parametrize(
    ('config', 'extra', 'expected'),
    [
        (
            CTKD,
            ['model.distill_losses.loss_ctkd.t_end=0.5'],
            'model.distill_losses.loss_ctkd: CTKDLoss needs 0 < t_start < t_end',
        ),
        (
            MLKD,
            ['model.distill_losses.loss_mlkd.views=2'],
            'model.distill_losses.loss_mlkd: views=2 needs vectors, a weak view of',
        ),
        (
            DKD,
            [
                'model.student.train_cfg.augments.type=Mixup',
                'model.student.train_cfg.augments.alpha=0.8',
                'model.student.head.loss.use_soft=True',
            ],
            'model.distill_losses.loss_dkd: DKDLoss needs the class of each position, '
            'but got soft labels',
        ),
        (
            DKD,
            ['train_dataloader.dataset.subset=images_evaluation'],
            "data_root: 'data' has neither images_evaluation/ nor images_evaluation.",
        ),
        (
            KD,
            ['model.distill_losses.loss_kd.type=mmkd.CWDLoss'],
            'model.distill_losses.loss_kd: CWDLoss compares maps',
        ),
    ],
    ids=['bounds', 'views', 'mixup', 'omniglot', 'cwd'],
)
def test_bad_input(bench, teacher, config, extra, expected):
    result = bench.run(
        'train.py', config, '--work-dir', 'bad', '--cfg-options', *teacher, *extra,
        code=1,
    )  # fmt: skip
    (error,) = [
        line for line in result.output.splitlines() if line.startswith('error: ')
    ]
    assert error.startswith(f'error: {expected}')
    assert 'Traceback' not in result.output
