"""NaN never reaches the weights."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from mmkd.engine.hooks import FiniteHook, finite_hook
from mmkd.errors import UserError
from mmkd.losses import KDLoss
from tests.conftest import build_runner, random_batch


class Batches(torch.utils.data.Dataset):
    """Pairs of images by name; those that begin with "bad" hold a NaN."""

    def __init__(self, names):
        self.items = []
        for name in names:
            torch.manual_seed(int(name[-1]))
            batch = random_batch(2)
            for image, sample in zip(*batch.values(), strict=True):
                image[0, 0, 0] = torch.nan if name.startswith('bad') else 1.0
                sample.set_metainfo(dict(img_path=f'{name}.png'))
                self.items.append(dict(inputs=image, data_samples=sample))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.fixture
def train(distiller_config, tmp_path):
    """Trains on one batch after the other; returns the Runner."""
    distiller_config['model']['decode_head']['dropout_ratio'] = 0
    distiller_config['model']['auxiliary_head']['dropout_ratio'] = 0

    def train(*names, **options):
        runner = build_runner(
            distiller_config,
            work_dir=str(tmp_path / '-'.join(names)[:40]),
            train_dataloader=dict(
                dataset=Batches(names),
                batch_size=2,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=options.pop('optim_wrapper', OPTIM),
            randomness=dict(seed=0),
            experiment_name=f'{tmp_path}{names}',
            **options,
        )
        runner.train()
        return runner

    return train


OPTIM = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.1))
SKIP = dict(custom_hooks=[dict(type='mmkd.FiniteHook', action='skip')])


def test_stops(train, tmp_path):
    before = train('good1').model.state_dict()
    with pytest.raises(UserError) as raised:
        train('good1', 'bad2', 'good3')
    error = str(raised.value)
    assert error.startswith('iteration 2: ')
    for part in (
        'distill.loss_kd is nan',
        'student.decode_head.conv_seg has ',
        'teacher.decode_head.conv_seg has ',
        'the images have values that are not finite',
        'the step was not taken',
        "action='skip'",
    ):
        assert part in error
    assert 'learning rate' not in error
    (path,) = tmp_path.glob('good1-*/nonfinite_iter_2_rank_0.pth')
    assert str(path) in error
    assert not list(path.parent.glob('epoch_*.pth'))
    evidence = torch.load(path, weights_only=True)
    assert evidence['images'] == ['bad2.png', 'bad2.png']
    assert torch.isnan(evidence['inputs'][0]).sum() == 1
    assert torch.isnan(evidence['losses']['distill.loss_kd'])
    assert set(evidence['recorded']) == {
        'student.decode_head.conv_seg',
        'teacher.decode_head.conv_seg',
    }
    names = [name for name in before if name.endswith(('weight', 'bias'))]
    assert names
    for name in names:
        assert torch.equal(evidence['state_dict'][name], before[name])


def test_names_weights_that_are_not_finite(train, monkeypatch):
    def start_from_nan(self, runner):
        runner.network.decode_head.conv_seg.weight.data[0] = torch.nan

    monkeypatch.setattr(FiniteHook, 'before_train_epoch', start_from_nan)
    with pytest.raises(UserError, match=r'1 weights are not finite, first ') as raised:
        train('good1')
    assert 'decode_head.conv_seg.weight' in str(raised.value)
    assert str(raised.value).endswith('Start from other weights')


def test_leaves_the_step_out(train):
    """A skipped batch leaves weights, momentum and BN statistics unchanged."""
    expected = train('good1', 'good3').model.state_dict()
    found = train('good1', 'bad2', 'good3', **SKIP).model.state_dict()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_stops_when_nothing_else_comes(train):
    with pytest.raises(UserError, match=r'^iteration 21: '):
        train('good0', *['bad1'] * 30, **SKIP)


def test_a_step_that_is_taken_starts_the_count_again(train, monkeypatch):
    monkeypatch.setattr(finite_hook, 'PATIENCE', 3)
    train(*['good1', 'bad2', 'bad3'] * 3, **SKIP)
    with pytest.raises(UserError, match=r'^iteration 7: '):
        train('good1', 'bad2', 'bad3', 'good1', *['bad2'] * 4, **SKIP)


def test_evidence_is_written_three_times(train, tmp_path):
    train('good1', *['bad2'] * 5, **SKIP)
    found = tmp_path.glob('good1-*/nonfinite_iter_*_rank_0.pth')
    assert sorted(path.name[15] for path in found) == ['2', '3', '4']


def test_accumulated_steps(train):
    """A bad batch spoils the step it is part of; good ones between are no escape."""
    names = ['good1', 'bad2'] * 30
    optimizer = dict(type='SGD', lr=0.01)
    wrapper = dict(optimizer=optimizer, accumulative_counts=2)
    with pytest.raises(UserError, match=r'^iteration 40: '):
        train(*names, optim_wrapper=wrapper, **SKIP)


def test_a_loss_that_is_not_finite_with_a_gradient_that_is(train, monkeypatch):
    monkeypatch.setattr(
        KDLoss, 'forward', lambda self, student, *_: student.sum() * 0 + torch.inf
    )
    with pytest.raises(UserError, match=r'^iteration 1: distill.loss_kd is inf') as e:
        train('good1')
    assert 'the step was not taken' not in str(e.value)


def test_a_gradient_that_a_scaler_handles(train):
    """A fused optimizer is told by its GradScaler what to leave out."""
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.full((2,), torch.inf)
    optimizer = torch.optim.SGD([weight], 1.0)
    hook = FiniteHook()
    hook.before_train(SimpleNamespace(optim_wrapper=OptimWrapper(optimizer)))
    optimizer.found_inf = torch.tensor(1.0)
    hook._check(optimizer)
    assert weight.grad is not None
    assert not hook.left_out
    optimizer.found_inf = None
    optimizer.step()
    assert torch.equal(weight, torch.ones(2))
    assert hook.left_out


def test_the_gradient_alone(train, monkeypatch):
    """A loss of finite value whose gradient is not: the square root at 0."""

    def root(self, losses):
        total = (self.student.decode_head.conv_seg.weight * 0).sum().sqrt()
        return total, dict(loss=total)

    monkeypatch.setattr('mmkd.distillation.Distiller.parse_losses', root)
    with pytest.raises(
        UserError, match=r'losses are finite, but the gradient is not.*learning rate'
    ):
        train('good1')


@pytest.mark.parametrize('position', [0, 1, 2])
def test_every_gradient_is_checked(position):
    weights = [torch.nn.Parameter(torch.ones(1)) for _ in range(3)]
    optimizer = torch.optim.SGD(
        [dict(params=weights[:2]), dict(params=weights[2:])], lr=1.0
    )
    for weight in weights:
        weight.grad = torch.ones(1)
    weights[position].grad = torch.full((1,), -torch.inf)
    hook = FiniteHook()
    hook._check(optimizer)
    assert hook.left_out
    assert all(weight.grad is None for weight in weights)


@pytest.mark.parametrize('options', [{}, SKIP])
def test_there_is_one(train, options):
    hooks = train('good1', **options).hooks
    (hook,) = [hook for hook in hooks if isinstance(hook, FiniteHook)]
    assert hook.action == ('skip' if options else 'stop')


def test_unknown_action():
    with pytest.raises(UserError, match=r'FiniteHook\.action'):
        FiniteHook('ignore')
