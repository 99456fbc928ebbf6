import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from torch.nn.functional import interpolate

from mmkd.errors import UserError
from mmkd.functional import kl_divergence
from mmkd.losses.schedule import Progress
from mmkd.registry import MODELS
from tests.conftest import build, build_distiller, network, random_batch


def make(config):
    """Build a Distiller as a Runner does for training."""
    return build_distiller(config).train()


def loss_of(distiller, batch):
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    return distiller(**data, mode='loss')


def without_dropout(distiller):
    for module in distiller.student.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
    return distiller


def test_loss_is_the_students_plus_the_formula(distiller_config):
    distiller = without_dropout(make(distiller_config))
    batch = random_batch()
    losses = loss_of(distiller, batch)

    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    own = distiller.student.loss(**data)
    assert set(losses) == {*own, 'distill.loss_kd'}
    for name, value in own.items():
        torch.testing.assert_close(losses[name], value)

    with torch.no_grad():
        student = distiller.student(data['inputs'], mode='tensor')
        teacher = distiller.teacher.model(data['inputs'], mode='tensor')
    label = torch.stack([s.gt_sem_seg.data[0] for s in data['data_samples']])
    mask = interpolate(label[:, None].float(), student.shape[2:])[:, 0] != 255
    expected = kl_divergence(student, teacher)[mask].mean()
    torch.testing.assert_close(losses['distill.loss_kd'], expected)


def test_the_baselines_random_numbers(distiller_config):
    """Initial weights and what is drawn after are those of the baseline."""
    torch.manual_seed(3)
    baseline = build(network())
    drawn = torch.rand(3)
    torch.manual_seed(3)
    distiller = make(distiller_config)
    assert torch.equal(torch.rand(3), drawn)
    for name, value in baseline.state_dict().items():
        assert torch.equal(distiller.state_dict()[name], value), name


def test_is_the_student_to_checkpoints(distiller_config, tmp_path):
    distiller = make(distiller_config)
    torch.save(distiller.state_dict(), tmp_path / 'student.pth')
    state = torch.load(tmp_path / 'student.pth', weights_only=True)
    student = build(network())
    student.load_state_dict(state, strict=True)

    other = make(distiller_config)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(9.0)
    other.load_state_dict(state, strict=True)
    for name, value in student.state_dict().items():
        assert torch.equal(other.student.state_dict()[name], value), name


def test_strict_loading_finds_what_is_wrong(distiller_config):
    distiller = make(distiller_config)
    state = distiller.state_dict()
    state['nowhere.weight'] = state.pop('decode_head.conv_seg.weight')
    with pytest.raises(RuntimeError, match=r'decode_head\.conv_seg\.weight'):
        distiller.load_state_dict(state, strict=True)


def test_the_teacher_is_no_part_of_the_model(distiller_config):
    distiller = make(distiller_config)
    students = {id(parameter) for parameter in distiller.student.parameters()}
    assert {id(parameter) for parameter in distiller.parameters()} == students
    assert not any('teacher' in name for name, _ in distiller.named_modules())
    assert not any('teacher' in name for name in distiller.state_dict())
    assert not any(p.requires_grad for p in distiller.teacher.parameters())


def test_there_is_no_teacher_before_training(distiller_config):
    distiller_config['teacher']['checkpoint'] = 'nowhere.pth'
    distiller = build_distiller(distiller_config, initialize=False)
    assert distiller.teacher is None
    batch = distiller.eval().data_preprocessor(random_batch(), False)
    assert len(distiller.predict(**batch)) == 2


def test_training_without_a_teacher_says_so(distiller_config):
    distiller = build_distiller(distiller_config, initialize=False)
    with pytest.raises(RuntimeError, match='init_weights'):
        loss_of(distiller, random_batch())
    data = distiller.eval().data_preprocessor(random_batch(), False)
    assert len(distiller.predict(**data)) == 2


def test_the_teacher_stays_in_eval_mode_and_unchanged(distiller_config):
    distiller = make(distiller_config)
    distiller.train()
    optim = OptimWrapper(torch.optim.SGD(distiller.parameters(), lr=0.1))
    distiller.train_step(random_batch(), optim)
    before = copy.deepcopy(distiller.teacher.model.state_dict())
    distiller.train_step(random_batch(), optim)
    assert not any(module.training for module in distiller.teacher.modules())
    for name, value in distiller.teacher.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_teachers_auxiliary_head_never_runs(distiller_config):
    distiller = make(distiller_config)
    distiller.teacher.model.auxiliary_head.forward = None
    loss_of(distiller, random_batch())


def test_every_student_parameter_gets_the_gradient(distiller_config):
    distiller = make(distiller_config)
    losses = loss_of(distiller, random_batch())
    losses['distill.loss_kd'].backward()
    without = {
        name
        for name, parameter in distiller.student.named_parameters()
        if parameter.grad is None
    }
    assert without == {n for n in without if n.startswith('auxiliary_head')}


def test_follows_to_another_precision(distiller_config):
    distiller = make(distiller_config).double()
    assert {p.dtype for p in distiller.teacher.parameters()} == {torch.float64}
    data = distiller.data_preprocessor(random_batch(), True)
    data['inputs'] = data['inputs'].double()
    assert distiller(**data, mode='loss')['distill.loss_kd'].dtype == torch.float64


def test_a_change_of_device_reaches_both_preprocessors(distiller_config):
    distiller = make(distiller_config)
    distiller.to('meta')
    assert distiller.data_preprocessor.device.type == 'meta'
    assert distiller.teacher.model.data_preprocessor.device.type == 'meta'


def test_a_copy_shares_the_teacher_and_reads_its_own_taps(distiller_config):
    distiller = without_dropout(make(distiller_config))
    twin = copy.deepcopy(distiller)
    assert twin.teacher is distiller.teacher
    with torch.no_grad():
        for parameter in twin.student.parameters():
            parameter.zero_()
    batch = random_batch()
    one, other = loss_of(distiller, batch), loss_of(twin, batch)
    assert one['distill.loss_kd'] != other['distill.loss_kd']
    torch.testing.assert_close(loss_of(distiller, batch), one)


def test_averaged_copy_saves_and_loads(distiller_config):
    distiller = make(distiller_config)
    average = ExponentialMovingAverage(distiller, momentum=0.5)
    average.update_parameters(distiller)
    state = average.state_dict()
    plain = build(network()).state_dict()
    assert set(state) == {'steps', *(f'module.{name}' for name in plain)}
    average.load_state_dict(state, strict=True)


def test_bridges_normalization(distiller_config, teacher_config):
    """A teacher that wants other images gives the same as on its own."""
    teacher_config['model'] = network(width=16, mean=[0.0] * 3, bgr_to_rgb=False)
    distiller = make(distiller_config)
    batch = random_batch()
    own = distiller.teacher.model
    data = own.data_preprocessor(copy.deepcopy(batch), True)
    expected = own(data['inputs'], mode='tensor')
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    tap = 'decode_head.conv_seg'
    found = distiller.teacher.outputs(data['inputs'], [tap])[tap]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_predictions_of_both(distiller_config):
    distiller = make(distiller_config).eval()
    batch = random_batch()
    data = distiller.data_preprocessor(copy.deepcopy(batch), False)
    theirs = distiller.teacher.predict(**data)[0].seg_logits.data
    expected = distiller.teacher.model.val_step(copy.deepcopy(batch))
    torch.testing.assert_close(theirs, expected[0].seg_logits.data)
    ours = distiller.predict(**distiller.data_preprocessor(batch, False))[0]
    assert not torch.equal(ours.seg_logits.data, theirs)


def test_several_losses_are_logged_apart(distiller_config):
    distiller_config['distill_losses'] = dict(
        loss_kd=dict(type='KDLoss', schedule=dict(warmup=4)),
        loss_cwd=dict(type='CWDLoss', tau=4.0, loss_weight=3.0),
        loss_aux=dict(
            type='KDLoss', student='auxiliary_head.conv_seg', loss_weight=0.0
        ),
    )
    distiller = make(distiller_config)
    losses = loss_of(distiller, random_batch())
    names = {name for name in losses if name.startswith('distill')}
    assert names == {
        *('distill.loss_kd', 'distill.loss_cwd', 'distill.loss_aux'),
        'distill.weight_kd',
    }
    total, log = distiller.parse_losses(losses)
    assert log['distill.loss_cwd'] > 0
    assert log['distill.loss_aux'] == 0
    trained = sum(value for name, value in log.items() if '.loss' in name)
    torch.testing.assert_close(total, trained)


def test_schedules(distiller_config):
    distiller_config['distill_losses'] = dict(
        loss_kd=dict(type='KDLoss', loss_weight=2.0, schedule=dict(warmup=4, stop=9))
    )
    distiller = without_dropout(make(distiller_config))
    batch = random_batch()

    def at(iteration):
        distiller.progress = Progress(iteration)
        losses = loss_of(distiller, batch)
        return losses['distill.loss_kd'], losses['distill.weight_kd']

    whole, weight = at(3)
    assert weight == 2.0
    value, weight = at(0)
    torch.testing.assert_close(value, whole / 4)
    assert weight == 0.5
    distiller.teacher.model.backbone.forward = None  # would fail if it ran
    assert at(9) == (0.0, 0.0)


def test_what_learns_has_a_gradient_at_all_times(distiller_config):
    """DDP waits for that of each parameter."""
    distiller_config['distill_losses'] = dict(
        loss_kd=dict(type='CTKDLoss', schedule=dict(stop=1))
    )
    distiller = make(distiller_config)
    for iteration in (0, 1):
        distiller.progress = Progress(iteration)
        losses = loss_of(distiller, random_batch())
        assert (losses['distill.weight_kd'] == 0) == (iteration == 1)
        distiller.zero_grad()
        losses['distill.loss_kd'].backward()
        assert distiller.distill_losses['loss_kd'].theta.grad == 0  # epoch 0


def test_no_schedule_unless_stated(distiller_config):
    distiller_config['distill_losses']['loss_kd']['standardize'] = True
    losses = loss_of(make(distiller_config), random_batch())
    assert 'distill.weight_kd' not in losses


def test_the_old_form_of_a_config(distiller_config):
    """One line that shows the new one, whatever Runner builds it."""
    old = dict(distiller_config, type='mmkd.Distiller', student=network())
    old.pop('model')
    with pytest.raises(UserError, match=r"^model: .*runner_type='mmkd.DistillRunner'"):
        MODELS.build(old)


@pytest.mark.parametrize('scope', ['mmkd', 'mmseg', 'mmpretrain'])
def test_builds_under_any_default_scope(distiller_config, scope):
    from mmengine.registry import DefaultScope

    distiller_config['model']['_scope_'] = 'mmseg'
    distiller_config['teacher']['model']['_scope_'] = 'mmseg'
    with DefaultScope.overwrite_default_scope(scope):
        make(distiller_config)


def test_logs_once_what_is_compared(distiller_config, monkeypatch):
    logged = []
    monkeypatch.setattr(
        'mmkd.distillation.distiller.print_log', lambda text, _: logged.append(text)
    )
    feature = dict(type='SimilarityLoss')
    distiller_config['distill_losses']['loss_feature'] = feature
    distiller = make(distiller_config)
    for _ in range(2):
        distiller.loss(**distiller.data_preprocessor(random_batch(), True))
    shapes = {k: tuple(v.shape[1:]) for k, v in distiller.recorded.items()}
    assert logged == [
        f"distill_losses.{name} compares '{tap}' {shapes[f'student.{tap}']} of the "
        f"student with '{tap}' {shapes[f'teacher.{tap}']} of the teacher"
        for name, tap in dict(
            loss_kd='decode_head.conv_seg', loss_feature='backbone'
        ).items()
    ]


LOSS = 'distill_losses.loss_kd'


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (dict(tau=0), f'{LOSS}: tau must be at least 0.001'),
        (dict(tau=-1.0), f'{LOSS}: tau must be at least 0.001'),
        (dict(type='KDLos'), f"{LOSS}: unknown type 'KDLos'.*KDLoss"),
        (dict(temperature=2), f'{LOSS}.temperature: unknown key of KDLoss'),
        (dict(schedule=dict(warmup=-2)), f'{LOSS}: schedule.warmup'),
        (dict(schedule=dict(warm=2)), f'{LOSS}.schedule.warm: .*did you mean warmup'),
        (dict(student='decode_head.conv'), f'{LOSS}.student: .*decode_head.conv_seg'),
        (dict(teacher='decode_head.conv'), f'{LOSS}.teacher: .*decode_head.conv_seg'),
        (dict(divergence=dict(type='ForwardK')), f'{LOSS}: .*ForwardKL'),
        (dict(divergence='KDLoss'), f"{LOSS}: divergence must .* 'KDLoss' is a loss"),
        (dict(type=None), f'{LOSS}.type: missing'),
        (dict(student=['decode_head']), f'{LOSS}.student: must be the name of a mod'),
        (dict(student=0), f'{LOSS}.student: must be the name of a module, but is 0'),
        (dict(schedule=0.1), rf'{LOSS}.schedule: must be a dict .*, not 0\.1'),
        (dict(schedule=dict(by_epoch='no')), f'{LOSS}: schedule.by_epoch must be True'),
        (dict(standardize='False'), f"{LOSS}: standardize must be True or False, .*'F"),
        (dict(class_balanced='no'), f'{LOSS}: class_balanced must be True or False'),
        (dict(scale_compensated=1), f'{LOSS}: scale_compensated must be True or False'),
        (dict(align_corners=None), f'{LOSS}: align_corners must be True or False'),
        (dict(type='FeatureMSELoss', normalize=1), f'{LOSS}: normalize must be True'),
        (dict(type='FeatureMSELoss', adapter=True), f"{LOSS}: adapter must be 'conv'"),
        (dict(type='SimilarityLoss', side=2.5), f'{LOSS}: side must be an integer'),
        (dict(type='MLKDLoss', taus=3), f'{LOSS}: taus must be a list of temperatures'),
        (dict(type='CTKDLoss', by_epoch=0), f'{LOSS}: by_epoch must be True or False'),
    ],
)
def test_refuses_a_bad_loss(distiller_config, change, says):
    distiller_config['distill_losses']['loss_kd'].update(change)
    with pytest.raises(UserError, match=says):
        make(distiller_config)


def test_refuses_a_loss_that_is_no_dict(distiller_config):
    distiller_config['distill_losses'] = dict(loss_kd='KDLoss')
    with pytest.raises(UserError, match=rf"^{LOSS}: must be a dict .*, not 'KDLoss'"):
        make(distiller_config)


@pytest.mark.parametrize('name', ['kd', 'loss.kd'])
def test_refuses_a_bad_loss_name(distiller_config, name):
    distiller_config['distill_losses'] = {name: dict(type='KDLoss')}
    with pytest.raises(UserError, match=f'{name}: .*loss_'):
        make(distiller_config)


def test_refuses_no_losses(distiller_config):
    distiller_config['distill_losses'] = {}
    with pytest.raises(UserError, match=r'^distill_losses: '):
        make(distiller_config)


def test_refuses_a_teacher_of_other_classes(distiller_config, tmp_path):
    config = network(width=16, classes=7)
    torch.save(build(config).state_dict(), tmp_path / 'other.pth')
    distiller_config['teacher'] = dict(
        model=config, checkpoint=str(tmp_path / 'other.pth')
    )
    with pytest.raises(UserError, match=r'outputs 7 classes and the student 5, and'):
        make(distiller_config).map_classes()


def test_a_tap_that_never_runs(distiller_config):
    distiller_config['distill_losses']['loss_kd']['teacher'] = 'auxiliary_head.conv_seg'
    distiller = make(distiller_config)
    with pytest.raises(UserError, match=r"'auxiliary_head\.conv_seg' was not run"):
        loss_of(distiller, random_batch())
