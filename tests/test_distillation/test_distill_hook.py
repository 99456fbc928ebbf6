"""A Distiller in an epoch-based run, with a loss that learns: CTKD."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from mmkd.checkpoint import load_safely
from mmkd.distillation.distill_hook import check_zero_label
from mmkd.errors import UserError
from tests.conftest import build, build_runner, network, random_batch


class Images(torch.utils.data.Dataset):
    """Four random images, the same every time."""

    def __init__(self):
        torch.manual_seed(0)
        batch = random_batch(4)
        self.items = list(zip(batch['inputs'], batch['data_samples'], strict=True))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        inputs, sample = self.items[index]
        return dict(inputs=inputs, data_samples=sample)


@pytest.fixture
def run(distiller_config, tmp_path):
    """Trains for some epochs of two iterations."""
    distiller_config['distill_losses'] = dict(
        loss_kd=dict(
            type='CTKDLoss',
            t_start=0.01,  # random networks have small logits
            t_end=0.02,
            warmup=0,
            schedule=dict(warmup=2, stop=3, by_epoch=True),
        )
    )

    def train(epochs, name, resume=False):
        runner = build_runner(
            distiller_config,
            work_dir=str(tmp_path),
            train_dataloader=dict(
                dataset=Images(),
                batch_size=2,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
            resume=resume,
            experiment_name=f'{tmp_path.name}_{name}',
        )
        runner.train()
        return runner

    return train


def test_weight_follows_the_epochs(run):
    history = run(4, 'epochs').message_hub.get_scalar('train/distill.weight_kd')
    assert history.data[0].tolist() == [0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_what_a_loss_learns_is_logged(run):
    runner = run(4, 'logged')
    hub = runner.message_hub
    taus = hub.get_scalar('train/distill.tau_kd').data[0].tolist()
    assert taus[0] == pytest.approx(0.024621, abs=1e-6)
    assert len(set(taus[:6])) == 6
    assert set(hub.get_scalar('train/distill.lambda_kd').data[0]) == {1.0}


def test_epochs_in_a_run_that_counts_none(distiller_config, tmp_path):
    distiller_config['distill_losses'] = dict(loss_kd=dict(type='CTKDLoss'))
    runner = build_runner(
        distiller_config,
        work_dir=str(tmp_path),
        train_dataloader=dict(
            dataset=Images(),
            batch_size=2,
            sampler=dict(type='InfiniteSampler'),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=2),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        experiment_name=f'{tmp_path.name}_iterations',
    )
    with pytest.raises(UserError, match=r'loss_kd.warmup: by_epoch=True, but this run'):
        runner.train()


def test_what_a_loss_learns_is_beside_the_plain_student(run, tmp_path):
    runner = run(2, 'first')
    theta = runner.model.distill_losses['loss_kd'].theta.detach()
    assert theta != 1.0
    saved = load_safely(tmp_path / 'epoch_2.pth')
    build(network()).load_state_dict(saved['state_dict'], strict=True)
    assert saved['distill_losses'] == {'loss_kd.theta': theta}
    students, learned = saved['optimizer']['param_groups']
    assert len(students['params']) == len(list(runner.network.parameters()))
    assert len(learned['params']) == 1


def test_a_learned_parameter_missing_from_the_checkpoint(run, tmp_path):
    run(2, 'first')
    saved = load_safely(tmp_path / 'epoch_2.pth')
    del saved['distill_losses']
    torch.save(saved, tmp_path / 'epoch_2.pth')
    with pytest.raises(UserError, match=r'\.theta: a parameter that the checkpoint'):
        run(3, 'again', resume=True)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (dict(schedule=dict(warmup=9, by_epoch=True)), 'schedule.warmup: 9 epochs'),
        (dict(schedule=dict(warmup=9)), 'schedule.warmup: 9 iterations are more'),
        (dict(warmup=9), 'warmup: 9 epochs are more than the 2 of the run'),
    ],
)
def test_a_warmup_longer_than_the_run(run, distiller_config, change, says):
    distiller_config['distill_losses']['loss_kd'].update(change)
    with pytest.raises(UserError, match=rf'^distill_losses\.loss_kd\.{says}'):
        run(2, 'long')


def test_resuming_goes_on_as_if_nothing_had_happened(run, tmp_path):
    torch.manual_seed(1)
    run(2, 'first')
    saved = load_safely(tmp_path / 'epoch_2.pth')
    runner = run(2, 'again', resume=True)  # there is nothing left to do
    assert runner.epoch == 2
    losses = runner.model.distill_losses.state_dict()
    assert losses == saved['distill_losses']
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, saved['state_dict'][name]), name
    run(3, 'on', resume=True)
    assert (tmp_path / 'epoch_3.pth').exists()


@pytest.mark.parametrize(
    ('ours', 'theirs', 'names', 'differs'),
    [
        (True, False, None, True),
        (False, True, ('road', 'Side_walk'), True),
        (False, True, ('tree', 'sky'), False),  # of another dataset
        (False, False, None, False),
        (True, None, None, False),
        (None, True, None, False),
    ],
)
@pytest.mark.parametrize('key', ['teacher', 'teacher.fine'])
def test_label_zero(key, ours, theirs, names, differs):
    metainfo = dict(classes=('road', 'sidewalk'), reduce_zero_label=ours)
    teacher = SimpleNamespace(key=key, classes=names, reduces_zero_label=theirs)
    error = rf'^{key}.reduce_zero_label: .* with {theirs}, .* reduce_zero_label={ours}'
    with pytest.raises(UserError, match=error) if differs else nullcontext():
        check_zero_label(teacher, metainfo)
