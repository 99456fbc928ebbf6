"""A Distiller in an epoch-based run, with a loss that learns."""

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from mmkd.checkpoint import only_weights
from mmkd.models import KDLoss
from mmkd.registry import MODELS
from tests.conftest import build, network, random_batch


@MODELS.register_module()
class LearningKDLoss(KDLoss):
    """Plain KD times a learnt factor, as CTKD's temperature is learnt."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.theta = nn.Parameter(torch.ones(()))

    def compare(self, *args):
        return self.theta * super().compare(*args)


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
            type='LearningKDLoss', schedule=dict(warmup=2, stop=3, by_epoch=True)
        )
    )

    def train(epochs, name, resume=False):
        runner = Runner(
            model=distiller_config,
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
            default_scope='mmseg',
            experiment_name=f'{tmp_path.name}_{name}',
        )
        with only_weights():
            runner.train()
        return runner

    return train


def test_weight_follows_the_epochs(run):
    history = run(4, 'epochs').message_hub.get_scalar('train/distill.weight_kd')
    assert history.data[0].tolist() == [0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]


def test_what_a_loss_learns_is_beside_the_plain_student(run, tmp_path):
    runner = run(1, 'first')
    theta = runner.model.distill_losses['loss_kd'].theta.detach()
    assert theta != 1.0
    with only_weights():
        saved = torch.load(tmp_path / 'epoch_1.pth')
    build(network()).load_state_dict(saved['state_dict'], strict=True)
    assert saved['distill_losses'] == {'loss_kd.theta': theta}
    students = len(list(runner.model.student.parameters()))
    assert len(saved['optimizer']['param_groups'][0]['params']) == students + 1


def test_resuming_goes_on_as_if_nothing_had_happened(run, tmp_path):
    torch.manual_seed(1)
    run(1, 'first')
    with only_weights():
        saved = torch.load(tmp_path / 'epoch_1.pth')
    runner = run(1, 'again', resume=True)  # there is nothing left to do
    assert runner.epoch == 1
    losses = runner.model.distill_losses.state_dict()
    assert losses == saved['distill_losses']
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, saved['state_dict'][name]), name
    run(2, 'on', resume=True)
    assert (tmp_path / 'epoch_2.pth').exists()
