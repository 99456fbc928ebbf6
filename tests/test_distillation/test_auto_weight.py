"""``loss_weight='auto'`` gives a loss its share of the gradient at the tap."""

import copy

import pytest
import torch

from mmkd.checkpoint import load_safely
from mmkd.distillation.auto_weight import AutoWeight
from mmkd.engine.cpu_amp import CpuAmpOptimWrapper
from mmkd.errors import UserError
from mmkd.losses.schedule import Progress
from tests.conftest import build_distiller, random_batch

from .test_distiller import loss_of, without_dropout
from .test_unlabeled import EPOCHS, ITERATIONS, LOOPS, images, start  # noqa: F401

CONV_SEG = 'decode_head.conv_seg'
LOSSES = {
    'KD': (dict(type='KDLoss'), CONV_SEG),
    'KD, standardized, eager': (
        dict(type='KDLoss', standardize=True, impl='eager'),
        CONV_SEG,
    ),
    'DKD': (dict(type='DKDLoss'), CONV_SEG),
    'DIST': (dict(type='DISTLoss'), CONV_SEG),
    'CWD': (dict(type='CWDLoss', tau=4.0), CONV_SEG),
    'CWD of features': (
        dict(type='CWDLoss', student='backbone.layer4', teacher='backbone.layer4'),
        'backbone.layer4',
    ),
    'MSE': (
        dict(type='FeatureMSELoss', student='backbone', teacher='backbone'),
        'backbone.layer4',
    ),
    'auxiliary head': (
        dict(type='KDLoss', student='auxiliary_head.conv_seg'),
        'auxiliary_head.conv_seg',
    ),
}


def make(config, loss, **options):
    config = copy.deepcopy(config)
    if 'backbone' in loss.get('student', ''):
        loss = dict(loss, adapter='conv')
    config['distill_losses'] = dict(loss_kd=dict(loss, **options))
    torch.manual_seed(0)
    distiller = without_dropout(build_distiller(config).train())
    if distiller.lacks_adapters:
        data = distiller.data_preprocessor(random_batch(), True)
        distiller.build_adapters(data['inputs'], data['data_samples'], 0)
    return distiller


def norms(distiller, batch, module):
    """Norms of the gradients of task loss and distillation loss, from hooks."""
    found, outputs = [], []
    part = distiller.student.get_submodule(module)
    forward = part.forward

    def kept(*args):
        outputs.append(forward(*args))
        outputs[-1].retain_grad()
        return outputs[-1]

    part.forward = kept
    try:
        losses = loss_of(distiller, batch)
    finally:
        del part.forward
    task = sum(v for n, v in losses.items() if 'loss' in n and 'distill' not in n)
    for loss in (task, losses['distill.loss_kd']):
        outputs[-1].grad = None  # also that of the measurement
        loss.backward(retain_graph=True)
        found.append(outputs[-1].grad.norm())
    return found


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('balance', [0.5, 0.2])
def test_share_of_the_gradient(distiller_config, name, balance):
    """The weighted gradient has the share, whatever the loss is."""
    loss, module = LOSSES[name]
    distiller = make(distiller_config, loss, loss_weight='auto', balance=balance)
    ours, theirs = norms(distiller, random_batch(), module)
    torch.testing.assert_close(
        theirs / (ours + theirs), torch.tensor(balance), rtol=1e-4, atol=0
    )


def test_mean_over_the_iterations_and_then_fixed(distiller_config):
    """The weight is the ratio of mean norms so far, times a schedule."""
    options = dict(balance=0.75, balance_iterations=3, schedule=dict(warmup=2))
    plain = make(distiller_config, dict(type='KDLoss'))
    distiller = make(
        distiller_config, dict(type='KDLoss'), loss_weight='auto', **options
    )
    sums = torch.zeros(2)
    for iteration in range(5):
        batch = random_batch()
        distiller.progress = Progress(iteration)
        losses = loss_of(distiller, batch)
        if iteration < 3:
            sums += torch.stack(norms(plain, batch, CONV_SEG))
        expected = 3 * sums[0] / sums[1] * min(1, (iteration + 1) / 2)
        torch.testing.assert_close(
            losses['distill.weight_kd'], expected, rtol=1e-4, atol=0
        )
        value = loss_of(plain, batch)['distill.loss_kd']
        torch.testing.assert_close(
            losses['distill.loss_kd'], expected * value, rtol=1e-4, atol=1e-9
        )
    assert distiller.losses[0].auto.measured == 3


def test_gradients_of_the_step_are_not_changed(distiller_config):
    """Measuring leaves nothing behind in the graph or the parameters."""
    auto = make(distiller_config, dict(type='KDLoss'), loss_weight='auto')
    batch = random_batch()
    losses = loss_of(auto, batch)
    assert all(parameter.grad is None for parameter in auto.parameters())
    weight = float(losses['distill.weight_kd'])
    fixed = make(distiller_config, dict(type='KDLoss'), loss_weight=weight)
    for distiller in (auto, fixed):
        distiller.student.load_state_dict(auto.state_dict())
        total, _ = distiller.parse_losses(loss_of(distiller, batch))
        total.backward()
    for ours, theirs in zip(auto.parameters(), fixed.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def test_several_losses(distiller_config):
    """Each has its share beside the task loss."""
    config = copy.deepcopy(distiller_config)
    config['distill_losses'] = dict(
        loss_kd=dict(type='KDLoss', loss_weight='auto'),
        loss_cwd=dict(type='CWDLoss', loss_weight='auto', balance=0.8),
        loss_dist=dict(type='DISTLoss'),
    )
    distiller = without_dropout(build_distiller(config).train())
    losses = loss_of(distiller, random_batch())
    assert {'distill.weight_kd', 'distill.weight_cwd'} < set(losses)
    assert 'distill.weight_dist' not in losses
    assert set(distiller.distill_losses.state_dict()) == {
        'weight_kd._extra_state',
        'weight_cwd._extra_state',
    }


class TestMeasure:
    @pytest.mark.parametrize('bad', [0.0, float('inf'), float('nan')])
    def test_leaves_out_what_is_no_norm(self, bad):
        """For example of a batch in which all pixels are ignored."""
        weight = AutoWeight(iterations=1)
        tap = torch.ones(2, 1, requires_grad=True)
        assert weight.measure(tap.sum(), bad * tap.sum(), tap)
        assert (weight.value, weight.measured, weight.fixed) == (1.0, 0, False)
        assert weight.measure(tap.sum(), 4 * tap.sum(), tap)
        assert (weight.value, weight.measured, weight.fixed) == (0.25, 1, True)

    def test_tiny_gradients_in_half_precision(self):
        """Gradients of a mean over a large map, which are small, are measured."""
        tap = torch.ones(1, 2, 512, 1024, dtype=torch.half, requires_grad=True)
        weight = AutoWeight()
        mean = (tap.float() * torch.tensor([0.01, -0.01])[None, :, None, None]).mean()
        assert weight.measure(mean, mean / 4, tap)
        assert weight.value == pytest.approx(4, rel=1e-3)

    def test_of_two_processes(self, monkeypatch):
        """All have the mean norm of all."""

        def mean(tensor, op):
            assert op == 'mean'
            tensor.copy_(torch.tensor([6.0, 2.0]))

        monkeypatch.setattr('mmkd.distillation.auto_weight.all_reduce', mean)
        weight = AutoWeight()
        tap = torch.ones(1, 1, requires_grad=True)
        assert weight.measure(tap.sum(), tap.sum(), tap)
        assert weight.value == 3

    @pytest.mark.parametrize(
        ('options', 'says'),
        [
            (dict(balance=0), 'balance must be above 0'),
            (dict(balance=1.0), 'balance must be above 0'),
            (dict(balance='a'), 'balance must be a number'),
            (dict(balance_iterations=0), 'balance_iterations must be an int'),
            (dict(balance_iterations=0.1), 'balance_iterations must be an int'),
        ],
    )
    def test_errors(self, distiller_config, options, says):
        loss = dict(type='KDLoss')
        with pytest.raises(UserError, match=rf'^distill_losses\.loss_kd: {says}'):
            make(distiller_config, loss, loss_weight='auto', **options)

    def test_a_balance_without_auto(self, distiller_config):
        with pytest.raises(UserError, match=r"only with loss_weight='auto'"):
            make(distiller_config, dict(type='KDLoss'), balance=0.5)


def test_a_tap_that_the_task_loss_does_not_reach(distiller_config):
    distiller = make(
        distiller_config,
        dict(type='KDLoss', student='auxiliary_head.conv_seg'),
        loss_weight='auto',
    )
    for loss in (distiller.student.decode_head, distiller.student.auxiliary_head):
        loss.loss_by_feat = lambda logits, samples: {}
    distiller.student.decode_head.loss_by_feat = lambda logits, samples: dict(
        loss_ce=logits.mean()
    )
    says = r"loss_kd\.loss_weight: 'auto' compares .*'auxiliary_head\.conv_seg', which"
    with pytest.raises(UserError, match=says):
        loss_of(distiller, random_batch())


def test_a_block_that_is_computed_again(distiller_config):
    config = copy.deepcopy(distiller_config)
    config['model']['backbone']['with_cp'] = True
    tap = dict(student='backbone.layer1', teacher='backbone.layer1')
    loss = dict(type='FeatureMSELoss', adapter='conv', **tap)
    config['distill_losses'] = dict(loss_kd=dict(loss, loss_weight='auto'))
    distiller = build_distiller(config).train()
    data = distiller.data_preprocessor(random_batch(), True)
    distiller.build_adapters(data['inputs'], data['data_samples'], 0)
    with pytest.raises(UserError, match=r"'backbone\.layer1', but a later block has"):
        distiller(**data, mode='loss')


def test_in_mixed_precision(distiller_config):
    distiller = make(distiller_config, dict(type='KDLoss'), loss_weight='auto')
    plain = copy.deepcopy(distiller)
    batch = random_batch()
    wrapper = CpuAmpOptimWrapper(torch.optim.SGD(distiller.parameters(), 0.01))
    rounded = distiller.train_step(copy.deepcopy(batch), wrapper)
    exact = loss_of(plain, batch)
    assert distiller.recorded[f'student.{CONV_SEG}'].dtype == torch.bfloat16
    torch.testing.assert_close(
        rounded['distill.weight_kd'], exact['distill.weight_kd'], rtol=0.05, atol=0
    )


@LOOPS
def test_resume(start, loop, distiller_config, tmp_path):  # noqa: F811
    """Bit-identical, within the measured iterations and after them."""
    distiller_config['distill_losses']['loss_kd'] |= dict(
        loss_weight='auto', balance_iterations=5
    )
    whole, _ = start('whole', loop)
    weights = whole.message_hub.get_scalar('train/distill.weight_kd').data[0]
    assert len(set(weights[:5])) == 5
    assert len(set(weights[4:])) == 1
    for kill_at in (4, 7):
        start('cut', loop, kill_at)
        resumed, _ = start('cut', loop)
        expected, found = whole.model.state_dict(), resumed.model.state_dict()
        assert all(torch.equal(found[name], expected[name]) for name in expected)
    (last,) = (path for path in (tmp_path / 'cut').glob('*_[48].pth'))
    saved = load_safely(last)['distill_losses']['weight_kd._extra_state']
    assert saved['measured'] == 5
    del distiller_config['distill_losses']['loss_kd']['loss_weight']
    del distiller_config['distill_losses']['loss_kd']['balance_iterations']
    with pytest.raises(UserError, match=r'weight_kd: a parameter that the config'):
        start('cut', loop)
