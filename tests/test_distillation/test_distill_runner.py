"""Optimizer, schedules and hooks of a DistillRunner."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import RUNNERS, DefaultScope

import mmkd
from mmkd.engine.hooks import FiniteHook
from mmkd.errors import UserError
from tests.conftest import build_runner, network
from tests.test_distillation.test_distill_hook import Images

SGD = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.1))
ADAMW = dict(type='AdamW', lr=0.01, weight_decay=0.05)
HEAD = dict(
    type='FCNHead', channels=8, num_convs=1, num_classes=5, norm_cfg=dict(type='BN')
)


def segmentor(channels, **backbone):
    """Config of a small network whose backbone has layers to tell apart."""
    return dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 32)),
        backbone=backbone,
        decode_head=dict(HEAD, in_channels=channels, in_index=-1),
        test_cfg=dict(mode='whole'),
    )


SMALL_VIT = dict(
    img_size=(32, 32), patch_size=8, embed_dims=16, num_layers=4, num_heads=2
)
BEIT = segmentor(16, type='BEiT', out_indices=(3,), qv_bias=True, **SMALL_VIT)
MAE = segmentor(16, type='MAE', out_indices=(3,), **SMALL_VIT)
CONVNEXT = segmentor(
    32,
    type='mmpretrain.ConvNeXt',
    arch=dict(depths=[1, 1, 4, 1], channels=[8, 16, 24, 32]),
    out_indices=[3],
    gap_before_final_norm=False,
)
VIT = dict(
    type='mmpretrain.ImageClassifier',
    data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
    backbone=dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32),
        img_size=32,
        patch_size=8,
    ),
    head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=16),
)
LAYER_DECAY = dict(
    optimizer=ADAMW,
    constructor='mmseg.LearningRateDecayOptimizerConstructor',
    paramwise_cfg=dict(num_layers=4, decay_rate=0.9, decay_type='layer_wise'),
)
STUDENTS = {
    'custom keys': (
        network(),
        dict(
            SGD,
            paramwise_cfg=dict(
                custom_keys={
                    'backbone': dict(lr_mult=0.1),
                    'head': dict(lr_mult=10.0),
                    'norm': dict(decay_mult=0.0),
                }
            ),
        ),
    ),
    'forced': (
        network(),
        dict(
            SGD,
            constructor='mmseg.ForceDefaultOptimWrapperConstructor',
            paramwise_cfg=dict(
                custom_keys={'backbone.stem': dict(lr_mult=0.0)},
                bias_decay_mult=0.0,
                force_default_settings=True,
            ),
        ),
    ),
    'BEiT': (BEIT, LAYER_DECAY),
    'BEiT, the old constructor': (
        BEIT,
        dict(
            optimizer=ADAMW,
            constructor='mmseg.LayerDecayOptimizerConstructor',
            paramwise_cfg=dict(num_layers=4, layer_decay_rate=0.9),
        ),
    ),
    'MAE': (MAE, LAYER_DECAY),
    'ConvNeXt': (CONVNEXT, LAYER_DECAY),
    'ConvNeXt, by stage': (
        CONVNEXT,
        dict(
            LAYER_DECAY,
            paramwise_cfg=dict(num_layers=6, decay_rate=0.9, decay_type='stage_wise'),
        ),
    ),
    'ViT': (
        VIT,
        dict(
            optimizer=ADAMW,
            constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
            paramwise_cfg=dict(
                layer_decay_rate=0.75,
                norm_decay_mult=0.0,
                custom_keys={'.cls_token': dict(decay_mult=0.0)},
            ),
        ),
    ),
}


def settings(groups):
    """Parameter groups by what they hold; a list of shapes stands for the tensors."""
    return [
        {**group, 'params': [tuple(p.shape) for p in group['params']]}
        for group in groups
    ]


@pytest.mark.parametrize('name', STUDENTS)
def test_parameter_groups_are_the_baselines(name, teacher_config, tmp_path):
    """One more group contains the parameters of the losses."""
    student, wrapper = copy.deepcopy(STUDENTS[name])
    config = dict(
        model=student,
        teacher=teacher_config,
        distill_losses=dict(loss_kd=dict(type='CTKDLoss')),
    )
    wrapper = Config(dict(wrapper=wrapper)).wrapper
    runner = build_runner(
        config, work_dir=str(tmp_path), experiment_name=f'{tmp_path.name}'
    )
    expected = build_optim_wrapper(runner.network, copy.deepcopy(wrapper)).optimizer
    *groups, learned = runner.build_optim_wrapper(wrapper).optimizer.param_groups
    assert settings(groups) == settings(expected.param_groups)
    for ours, theirs in zip(groups, expected.param_groups, strict=True):
        assert all(
            a is b for a, b in zip(ours['params'], theirs['params'], strict=True)
        )
    theta = runner.distiller.distill_losses['loss_kd'].theta
    assert learned['params'] == [theta]
    assert learned['lr'] == wrapper.optimizer.lr
    if name != 'forced':
        assert len(groups) > 2


def loader():
    return dict(
        dataset=Images(),
        batch_size=2,
        sampler=dict(type='InfiniteSampler', shuffle=False),
        collate_fn=dict(type='pseudo_collate'),
    )


def test_two_runners_at_once(distiller_config, tmp_path):
    """Each has its own position: also beside a hub that a hook has opened."""

    def start(name, iterations):
        runner = build_runner(
            distiller_config,
            work_dir=str(tmp_path / name),
            train_dataloader=loader(),
            train_cfg=dict(by_epoch=False, max_iters=iterations),
            optim_wrapper=SGD,
            default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
            experiment_name=f'{tmp_path.name}_{name}',
        )
        MessageHub.get_instance(f'{tmp_path.name}_{name}_other')
        return runner

    distiller_config['distill_losses'] = dict(
        loss_kd=dict(type='KDLoss', schedule=dict(warmup=0.5)),
        loss_ctkd=dict(type='CTKDLoss', warmup=0.5, t_end=2.0),
    )
    first, second = start('first', 8), start('second', 4)
    for runner, expected, lambdas in (
        (second, [0.5, 1, 1, 1], [0, 0.5, 1, 1]),
        (
            first,
            [0.25, 0.5, 0.75, 1, 1, 1, 1, 1],
            [0, 0.146447, 0.5, 0.853553] + [1] * 4,
        ),
    ):
        runner.train()
        hub = runner.message_hub
        weights = hub.get_scalar('train/distill.weight_kd').data[0]
        assert weights.tolist() == expected
        found = hub.get_scalar('train/distill.lambda_ctkd').data[0]
        assert found.tolist() == pytest.approx(lambdas, abs=1e-6)


@pytest.mark.parametrize('missing', ['teacher', 'distill_losses'])
def test_both_keys_are_needed(distiller_config, tmp_path, missing):
    config = Config(dict(distiller_config, work_dir=str(tmp_path)))
    config.runner_type = 'mmkd.DistillRunner'
    config.pop(missing)
    with pytest.raises(UserError, match=rf'^{missing}: '):
        RUNNERS.build(config)


@pytest.mark.parametrize('scope', [None, 'mmkd', 'mmseg', 'mmpretrain'])
@pytest.mark.parametrize('name', ['Runner', 'DistillRunner'])
def test_found_under_any_default_scope(scope, name):
    with DefaultScope.overwrite_default_scope(scope):
        assert RUNNERS.get(f'mmkd.{name}') is getattr(mmkd, name)


@pytest.mark.parametrize(
    ('dtype', 'precision'),
    [(None, 'fp16'), ('bfloat16', 'bf16'), (torch.bfloat16, 'bf16')],
)
def test_a_teacher_in_half_precision_under_amp(
    distiller_config, tmp_path, dtype, precision
):
    """Autocast does not reach the teacher; a stated precision stays."""
    config = Config(dict(distiller_config, work_dir=str(tmp_path)))
    sgd = dict(type='SGD')
    config.optim_wrapper = dict(type='AmpOptimWrapper', optimizer=sgd, dtype=dtype)
    config.default_scope, config.experiment_name = 'mmseg', f'{tmp_path.name}_amp'
    config.train_cfg, config.train_dataloader = dict(by_epoch=False, max_iters=1), {}
    runner = mmkd.DistillRunner.from_cfg(config)
    assert runner.cfg.teacher.precision == precision
    config.teacher.precision = 'fp32'
    config.experiment_name += '_stated'
    assert mmkd.DistillRunner.from_cfg(config).cfg.teacher.precision == 'fp32'


def test_fits_in_memory_once(distiller_config, tmp_path):
    """The optimizer's parameters are the model's, not copies."""
    runner = build_runner(
        distiller_config, work_dir=str(tmp_path), experiment_name=tmp_path.name
    )
    wrapper = runner.build_optim_wrapper(Config(dict(w=SGD)).w)
    ids = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
    assert ids == {id(parameter) for parameter in runner.model.parameters()}
    assert isinstance(wrapper.optimizer, torch.optim.SGD)


def test_a_test_needs_no_teacher(distiller_config, tmp_path):
    """The teacher's files may be missing until training starts."""
    config = Config(dict(distiller_config, work_dir=str(tmp_path)))
    config.teacher = dict(config='gone.py', checkpoint='gone.pth')
    config.default_scope, config.experiment_name = 'mmseg', f'{tmp_path.name}_test'
    runner = mmkd.DistillRunner.from_cfg(config)
    with pytest.raises(UserError, match=r"^teacher\.config: 'gone\.py' exists neither"):
        runner.distiller.init_weights()


def test_config_keys_find_the_students_modules(distiller_config, tmp_path):
    """Such as activation_checkpointing, which looks them up in the trained model."""
    runner = build_runner(
        distiller_config, work_dir=str(tmp_path), experiment_name=tmp_path.name
    )
    assert runner.model.backbone is runner.network.backbone
    with pytest.raises(AttributeError, match='nowhere'):
        _ = runner.model.nowhere


def test_a_subclass_of_a_hook_takes_its_place(distiller_config, tmp_path):
    class MyFiniteHook(FiniteHook):
        pass

    runner = build_runner(
        distiller_config,
        work_dir=str(tmp_path),
        experiment_name=tmp_path.name,
        custom_hooks=[dict(type=MyFiniteHook, action='skip')],
    )
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, FiniteHook)]
    assert type(hook) is MyFiniteHook


@pytest.mark.parametrize(
    ('losses', 'says'),
    [
        ([dict(type='KDLoss')], '^distill_losses: it must be a dict'),
        (dict(loss_kd=None), '^distill_losses: at least one'),
    ],
)
def test_invalid_losses(distiller_config, tmp_path, losses, says):
    distiller_config['distill_losses'] = losses
    with pytest.raises(UserError, match=says):
        build_runner(
            distiller_config, work_dir=str(tmp_path), experiment_name=tmp_path.name
        )
