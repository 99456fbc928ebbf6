"""Adapters of feature losses: where they are built, trained and saved."""

import copy
from pathlib import Path

import pytest
import torch

from mmkd.checkpoint import load_weights
from mmkd.errors import UserError
from tests.conftest import build, build_runner, network
from tests.test_distillation.test_distill_hook import Images

SGD = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.1))
FEATURE = dict(
    type='FeatureMSELoss',
    adapter='conv_bn',
)


def runner_of(config, folder, losses, name='', max_iters=3, **options):
    """A Runner of some iterations of a narrow student and its wider teacher."""
    config = dict(copy.deepcopy(config), distill_losses=losses)
    return build_runner(
        config,
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=Images(),
            batch_size=2,
            sampler=dict(type='InfiniteSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=max_iters),
        optim_wrapper=copy.deepcopy(SGD),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', interval=3, by_epoch=False)
        ),
        randomness=dict(seed=5),
        experiment_name=f'{folder.parent.name}_{folder.name}_{name}',
        **options,
    )


@pytest.fixture
def trained(distiller_config, tmp_path):
    runner = runner_of(
        distiller_config,
        tmp_path / 'trained',
        dict(loss_kd=dict(type='KDLoss'), loss_feature=FEATURE),
        custom_hooks=[dict(type='EMAHook')],
    )
    runner.train()
    return runner


def test_an_adapter_is_trained_and_saved_beside_the_student(trained):
    (adapter,) = (
        m for m in trained.distiller.modules() if type(m).__name__ == 'Adapter'
    )
    convolution, _ = adapter.network
    assert tuple(convolution.weight.shape) == (128, 64, 1, 1)
    path = f'{trained.work_dir}/iter_3.pth'
    checkpoint = torch.load(path, weights_only=False)
    names = {
        f'loss_feature.adapter.network.{name}' for name in adapter.network.state_dict()
    }
    assert set(checkpoint['distill_losses']) == names
    for name, value in adapter.network.state_dict().items():
        saved = checkpoint['distill_losses'][f'loss_feature.adapter.network.{name}']
        assert torch.equal(saved, value)
    assert not any('adapter' in name for name in checkpoint['state_dict'])
    assert not any('adapter' in name for name in checkpoint['ema_state_dict'])
    state, _ = load_weights(path, 'checkpoint')
    build(network()).load_state_dict(state, strict=True)


def test_parameter_groups(trained):
    """Norms are not decayed; all else has the settings of the optimizer."""
    groups = trained.optim_wrapper.optimizer.param_groups
    shapes = [[tuple(p.shape) for p in group['params']] for group in groups[-2:]]
    assert shapes == [[(128, 64, 1, 1)], [(128,), (128,)]]
    assert [group['weight_decay'] for group in groups[-2:]] == [0.1, 0.0]
    assert {group['lr'] for group in groups} == {0.01}
    ids = [id(p) for group in groups for p in group['params']]
    assert sorted(ids) == sorted(id(p) for p in trained.model.parameters())


def test_the_students_numbers_are_those_of_a_run_without_adapter(
    distiller_config, tmp_path
):
    """Building an adapter draws no number and changes no statistic of the student."""
    found = []
    for name, losses in {
        'without': dict(loss_kd=dict(type='KDLoss')),
        'with': dict(
            loss_kd=dict(type='KDLoss'), loss_feature=dict(FEATURE, loss_weight=0.0)
        ),
    }.items():
        runner = runner_of(distiller_config, tmp_path / name, losses)
        runner.train()
        found.append(runner.network.state_dict())
    for name, value in found[0].items():
        assert torch.equal(found[1][name], value), name


def test_the_seed_determines_the_adapter(distiller_config, tmp_path):
    weights = []
    for name in ('first', 'second'):
        runner = runner_of(
            distiller_config, tmp_path / name, dict(loss_feature=FEATURE)
        )
        torch.rand(len(name))  # whatever else draws numbers
        runner._train_loop = runner.build_train_loop(runner._train_loop)
        runner.build_optim_wrapper(copy.deepcopy(SGD))
        loss = runner.distiller.distill_losses['loss_feature']
        weights.append(loss.adapter.network[0].weight)
    assert torch.equal(*weights)


def test_a_resumed_run_restores_the_adapter(trained, distiller_config):
    expected = trained.distiller.distill_losses.state_dict()
    runner = runner_of(
        distiller_config,
        Path(trained.work_dir),
        dict(loss_kd=dict(type='KDLoss'), loss_feature=FEATURE),
        resume=True,
        name='again',
    )
    runner.train()
    for name, value in runner.distiller.distill_losses.state_dict().items():
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize(
    ('changes', 'says'),
    [
        (dict(adapter=None), r"64 channels and the teacher's 128; set adapter='conv'"),
        (dict(teacher='auxiliary_head.convs.0'), 'was not run in the forward pass'),
        (dict(student='backbone.layer9'), "has no module 'backbone.layer9'"),
        (dict(type='SimilarityLoss'), 'needs no adapter: remove adapter'),
    ],
)
def test_invalid_losses(distiller_config, tmp_path, changes, says):
    with pytest.raises(UserError, match=says):
        runner_of(
            distiller_config,
            tmp_path / 'run',
            dict(loss_feature=dict(FEATURE, **changes)),
        ).train()


def test_synchronized_normalization_without_a_gpu(distiller_config, tmp_path):
    """The student runs to build the adapters, before the model is wrapped."""
    config = copy.deepcopy(distiller_config)
    config['model']['backbone']['norm_cfg'] = dict(type='SyncBN')
    runner = runner_of(config, tmp_path / 'run', dict(loss_feature=FEATURE))
    kinds = {type(module) for module in runner.model.modules()}
    assert torch.cuda.is_available() or torch.nn.SyncBatchNorm not in kinds
