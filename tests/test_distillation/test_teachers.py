"""Distillation from several named teachers."""

import copy
import operator
from contextlib import suppress

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from torch.testing import assert_close

from mmkd.distillation.teacher_config import inline_teacher, split_teachers
from mmkd.errors import UserError
from mmkd.functional import average_teachers, kl_divergence
from mmkd.losses.schedule import Progress
from tests.conftest import CLASSES, build, build_distiller, network, random_batch
from tests.test_distillation.test_adapters import runner_of
from tests.test_distillation.test_class_map import LOSSES
from tests.test_distillation.test_teacher_metric_hook import (
    IOU,
    loader,
)

TAP = 'decode_head.conv_seg'
COARSE = {2: None, 3: None, 4: None}  # has the classes 0 and 1
FINE = {0: None, 1: None}


def teacher_of(folder, seed, classes=CLASSES, width=16, **options):
    """Config of a teacher with random but saved weights."""
    torch.manual_seed(seed)
    config = network(width=width, classes=classes)
    path = folder / f'teacher_{seed}.pth'
    model = build(config)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return dict(model=config, checkpoint=str(path), **options)


@pytest.fixture
def teachers(tmp_path):
    return dict(coarse=teacher_of(tmp_path, 1), fine=teacher_of(tmp_path, 2))


def make(teacher, losses=None, mode=True, model=None):
    torch.manual_seed(0)
    losses = losses or dict(loss_kd=dict(type='KDLoss'))
    config = dict(model=model or network(), teacher=teacher, distill_losses=losses)
    distiller = build_distiller(copy.deepcopy(config)).train(mode)
    distiller.map_classes()
    for module in distiller.student.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
    return distiller


def losses_of(distiller, batch):
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    losses = distiller.loss(**data)
    return {k: v for k, v in losses.items() if k.startswith('distill.')}


def own_outputs(distiller, batch):
    """Logits of the student and of each teacher, and the mask of valid cells."""
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    with torch.no_grad():
        student = distiller.student(data['inputs'], mode='tensor')
        theirs = {
            name: each.model(data['inputs'], mode='tensor')
            for name, each in distiller.teacher.members.items()
        }
    label = torch.stack([s.gt_sem_seg.data[0] for s in data['data_samples']])
    size = student.shape[2:]
    label = torch.nn.functional.interpolate(label[:, None].float(), size)[:, 0]
    return student, theirs, label != 255


@pytest.mark.parametrize('mean', [None, 'probabilities', 'logits'])
def test_the_average_of_both(teachers, mean):
    loss = dict(type='KDLoss') | ({'teacher_mean': mean} if mean else {})
    distiller = make(teachers, dict(loss_kd=loss))
    batch = random_batch()
    found = losses_of(distiller, batch)['distill.loss_kd']
    student, theirs, mask = own_outputs(distiller, batch)
    if mean == 'logits':
        target = (theirs['coarse'] + theirs['fine']) / 2
    else:
        target = ((theirs['coarse'].softmax(1) + theirs['fine'].softmax(1)) / 2).log()
    assert_close(found, kl_divergence(student, target)[mask].mean())


def test_one_loss_each(teachers):
    """Each is that of a distillation from this teacher alone, bit by bit."""
    losses = {
        f'loss_{name}': dict(type='KDLoss', teacher=name, loss_weight=weight)
        for name, weight in (('coarse', 0.5), ('fine', 2.0))
    }
    batch = random_batch()
    found = losses_of(make(teachers, losses), batch)
    for name, loss in losses.items():
        alone = dict(loss)
        config = teachers[alone.pop('teacher')]
        expected = losses_of(make(config, {name: alone}), batch)
        assert torch.equal(found[f'distill.{name}'], expected[f'distill.{name}'])
    named = dict(fine=teachers['fine'])  # without another one
    alone = losses_of(make(named, dict(loss_fine=losses['loss_fine'])), batch)
    assert torch.equal(alone['distill.loss_fine'], found['distill.loss_fine'])


@pytest.mark.parametrize(
    ('given', 'taps'),
    [
        (None, [f'coarse.{TAP}', f'fine.{TAP}']),
        ('fine', [f'fine.{TAP}']),
        ('fine.decode_head', ['fine.decode_head']),
        ('decode_head', ['coarse.decode_head', 'fine.decode_head']),
        (['fine', 'coarse.decode_head'], [f'fine.{TAP}', 'coarse.decode_head']),
    ],
)
def test_taps(teachers, given, taps):
    """Only the teachers that a loss names run."""
    distiller = make(teachers, dict(loss_kd=dict(type='KDLoss', teacher=given)))
    assert distiller.losses[0].teacher_taps == taps
    idle = set(teachers) - {tap.partition('.')[0] for tap in taps}
    for name in idle:
        distiller.teacher.members[name].model.forward = None  # would fail
    losses_of(distiller, random_batch())
    recorded = [name for name in distiller.recorded if name.startswith('teacher.')]
    assert sorted(recorded) == sorted(f'teacher.{tap}' for tap in taps)


def test_a_teacher_without_an_active_loss_does_not_run(teachers):
    losses = {
        'loss_coarse': dict(type='KDLoss', teacher='coarse'),
        'loss_fine': dict(type='KDLoss', teacher='fine', schedule=dict(stop=3)),
    }
    distiller = make(teachers, losses)
    distiller.progress = Progress(3)
    distiller.teacher.members['fine'].model.forward = None
    assert losses_of(distiller, random_batch())['distill.loss_fine'] == 0


def test_halves_of_a_teacher_are_the_teacher(tmp_path):
    """Each knows its own classes, and that it is another one.

    CWDLoss is left out: it does not compare distributions of a pixel.
    """
    whole = teacher_of(tmp_path, 1)
    losses = {f'loss_{k}': v for k, v in LOSSES.items() if k != 'cwd'}
    batch = random_batch()
    expected = losses_of(make(whole, losses), batch)
    halves = dict(
        coarse=dict(whole, class_map=COARSE), fine=dict(whole, class_map=FINE)
    )
    distiller = make(halves, losses)
    assert distiller.teacher.class_map.identity
    found = losses_of(distiller, batch)
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_class_that_no_teacher_has(teachers, tmp_path):
    """Is left out of both distributions, and its pixels are ignored."""
    teachers['coarse']['class_map'] = {2: None, 3: None, 4: None}
    teachers['fine']['class_map'] = {0: None, 3: None}
    distiller = make(teachers)
    batch = random_batch()
    found = losses_of(distiller, batch)['distill.loss_kd']
    student, theirs, mask = own_outputs(distiller, batch)
    p, q = (theirs[name].softmax(1) for name in ('coarse', 'fine'))
    target = torch.stack([p[:, 0], (p[:, 1] + q[:, 1]) / 2, q[:, 2], q[:, 4]], 1).log()
    label = torch.stack([s.gt_sem_seg.data[0] for s in batch['data_samples']])
    size = student.shape[2:]
    label = torch.nn.functional.interpolate(label[:, None].float(), size)[:, 0]
    kl = kl_divergence(student[:, [0, 1, 2, 4]], target)
    assert_close(found, kl[mask & (label != 3)].mean())


def test_teachers_of_other_resolutions_and_normalization(teachers):
    """Maps are averaged at the largest size."""
    teachers['fine']['scale'] = 2.0
    teachers['coarse']['model'] = network(width=16, mean=[0.0] * 3, bgr_to_rgb=False)
    distiller = make(teachers)
    batch = random_batch()
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    found = losses_of(distiller, batch)['distill.loss_kd']
    outputs = distiller.teacher.outputs(
        data['inputs'], [f'coarse.{TAP}', f'fine.{TAP}']
    )
    coarse, fine = outputs.values()
    assert fine.shape[2] == 2 * coarse.shape[2]
    own = distiller.teacher.members['coarse'].model
    expected = own(
        own.data_preprocessor(copy.deepcopy(batch), True)['inputs'], mode='tensor'
    )
    assert_close(coarse, expected, rtol=1e-4, atol=1e-5)
    student, _, mask = own_outputs(distiller, batch)
    resize = torch.nn.functional.interpolate
    average = average_teachers([resize(coarse, fine.shape[2:], mode='bilinear'), fine])
    average = resize(average, student.shape[2:], mode='bilinear')
    assert_close(found, kl_divergence(student, average)[mask].mean())


def test_features_of_a_named_teacher(teachers):
    teachers['fine'] = dict(teachers['fine'])
    feature = dict(type='FeatureMSELoss', adapter='conv', teacher='fine')
    distiller = make(teachers, dict(loss_feature=feature))
    assert distiller.losses[0].teacher_taps == ['fine.backbone']
    data = distiller.data_preprocessor(random_batch(), True)
    distiller.build_adapters(data['inputs'], data['data_samples'], seed=0)
    assert distiller.loss(**data)['distill.loss_feature'] > 0


def test_two_classes_in_one_channel(tmp_path):
    """The probabilities of the sigmoids are averaged."""
    one = dict(num_classes=2, out_channels=1, threshold=0.5)
    sigmoid = dict(type='CrossEntropyLoss', use_sigmoid=True)
    configs = {}
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        config = network(width=8)
        for head in ('decode_head', 'auxiliary_head'):
            config[head].update(one, loss_decode=sigmoid)
        path = tmp_path / f'one_{seed}.pth'
        torch.save(dict(state_dict=build(config).state_dict()), path)
        configs[seed] = dict(model=config, checkpoint=str(path))
    student = configs.pop(0)['model']
    named = {f'teacher_{seed}': config for seed, config in configs.items()}
    distiller = make(named, model=student)
    batch = random_batch(classes=2)
    found = losses_of(distiller, batch)['distill.loss_kd']
    student, theirs, mask = own_outputs(distiller, batch)
    p = sum(each.sigmoid() for each in theirs.values())[:, 0] / 2
    q = student.sigmoid()[:, 0]
    kl = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    assert_close(found, kl[mask].mean(), rtol=1e-3, atol=0)


def test_common_predictions(teachers):
    """Are those of the mean of the probabilities, at the label's size."""
    teachers['coarse']['class_map'] = COARSE
    distiller = make(teachers, mode=False)
    batch = random_batch(3)
    found = distiller.teacher.val_step(copy.deepcopy(batch))
    data = distiller.data_preprocessor(copy.deepcopy(batch), False)
    with torch.no_grad():
        p, q = (
            torch.stack([s.seg_logits.data for s in each.model.val_step(batch)])
            for each in map(copy.deepcopy, distiller.teacher.members.values())
        )
    p, q = p.softmax(1), q.softmax(1)
    q[:, :2] = (p[:, :2] + q[:, :2]) / 2
    q = q / q.sum(1, keepdim=True)
    for sample, expected in zip(found, q, strict=True):
        assert_close(sample.seg_logits.data.softmax(0), expected)
        label = expected.argmax(0, keepdim=True)
        assert torch.equal(sample.pred_sem_seg.data, label)
    distiller.compares = True
    both = distiller.val_step(copy.deepcopy(batch))
    for sample, expected in zip(both, q, strict=True):
        assert_close(sample.teacher_logits.softmax(0), expected)
    again = distiller.teacher.predict(**data)
    assert_close(again[0].seg_logits.data, found[0].seg_logits.data)


def test_classifiers(classifiers):
    """One of them does not have the last class, but another output instead."""
    from mmpretrain.structures import DataSample

    teachers = dict(
        whole=classifiers['teacher'],
        part=dict(classifiers['teacher'], class_map={6: None}),
    )
    distiller = make(teachers, mode=False, model=classifiers['model'])
    inputs = torch.rand(4, 3, 32, 32)
    samples = [DataSample().set_gt_label(label) for label in (0, 3, 6, 0)]
    with torch.no_grad():
        p = distiller.teacher.members['whole'].model(inputs).softmax(1)
        student = distiller.student(inputs)
    # Both say the same, as one leaves the last class to the other.
    for sample, expected in zip(
        distiller.teacher.val_step(dict(inputs=inputs, data_samples=samples)),
        p,
        strict=True,
    ):
        assert_close(sample.pred_score, expected)
        assert sample.pred_label == expected.argmax()
    loss = distiller.loss(inputs, samples)['distill.loss_kd']
    assert_close(loss, kl_divergence(student, p.log()).mean())
    distiller.compares = True
    with torch.no_grad():
        both = distiller.val_step(dict(inputs=inputs, data_samples=samples))
    assert_close(torch.stack([s.teacher_logits for s in both]).softmax(1), p)


def test_move_and_copies(teachers):
    distiller = make(teachers).double()
    assert {p.dtype for p in distiller.teacher.parameters()} == {torch.float64}
    twin = copy.deepcopy(distiller)
    assert twin.teacher is distiller.teacher
    distiller.teacher.train()
    assert not any(module.training for module in distiller.teacher.modules())
    assert not any(p.requires_grad for p in distiller.teacher.parameters())
    distiller.to('meta')
    for each in distiller.teacher.members.values():
        assert each.model.data_preprocessor.device.type == 'meta'


@pytest.mark.parametrize(
    ('losses', 'says'),
    [
        (
            dict(type='KDLoss', teacher='fein'),
            r"\.teacher: the network has no module 'fein'.* teachers are coarse, fine",
        ),
        (
            dict(type='KDLoss', teacher='fine.head'),
            r"\.teacher: the network has no module 'head'.*\(of the teacher 'fine'",
        ),
        (
            dict(type='KDLoss', teacher=['fine', 'decode_head']),
            r"\.teacher: a list contains teachers, but 'decode_head' is none of them",
        ),
        (dict(type='KDLoss', teacher=3), r'\.teacher: it must be the name'),
        (
            dict(type='KDLoss', teacher='fine', teacher_mean='logits'),
            r'\.teacher_mean: there is only one teacher to average',
        ),
        (
            dict(type='KDLoss', teacher_mean='median'),
            r"\.teacher_mean: must be 'probabilities' or 'logits', not 'median'",
        ),
        (
            dict(type='FeatureMSELoss', adapter='conv'),
            r"\.teacher: features of several .*'coarse', 'fine'",
        ),
    ],
)
def test_invalid_losses(teachers, losses, says):
    with pytest.raises(UserError, match=rf'^distill_losses\.loss_kd{says}'):
        make(teachers, dict(loss_kd=losses))


def test_the_mean_of_logits_of_other_classes(teachers):
    teachers['coarse']['class_map'] = COARSE
    loss = dict(type='KDLoss', teacher_mean='logits')
    message = r'^distill_losses\.loss_kd\.teacher_mean: .* needs teachers with the same'
    with pytest.raises(UserError, match=message):
        losses_of(make(teachers, dict(loss_kd=loss)), random_batch())


def test_a_sigmoid_beside_a_softmax(teachers):
    sigmoid = dict(type='CrossEntropyLoss', use_sigmoid=True)
    teachers['fine']['model']['decode_head']['loss_decode'] = sigmoid
    message = r'^distill_losses\.loss_kd\.teacher: the outputs of some .* sigmoids'
    with pytest.raises(UserError, match=message):
        make(teachers)


def broken(teachers, **options):
    return dict(teachers, fine={**teachers['fine'], **options})


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        (dict(checkpoint=None), r'\.checkpoint: a teacher needs trained weights'),
        (dict(checkpoint='gone.pth'), r'\.checkpoint: '),
        (dict(config='gone.py', model=None), r': give either config'),
        (dict(sizes=3), r': unknown key sizes'),
        (dict(size=3), r'\.size: must be'),
        (dict(slide=True, size=(2, 2)), r'\.slide: '),
        (dict(precision='int8'), r'\.precision must be'),
        (dict(class_map={9: 0}), r'\.class_map: the dataset has no class 9'),
        (dict(class_map=3), r'\.class_map: it must be a dict'),
        (dict(prefix=3), r'\.prefix: it must be a string'),
        (dict(checkpoint='a.onnx'), r"\.checkpoint: 'a\.onnx' is a program"),
    ],
)
def test_errors_name_the_teacher(teachers, change, says):
    with pytest.raises(UserError, match=rf'^teacher\.fine{says}'):
        make(broken(teachers, **change))


def test_a_size_that_fails(teachers):
    distiller = make(teachers)

    def fail(*args, **kwargs):
        raise ValueError('too small')

    distiller.teacher.members['fine'].model.forward = fail
    message = r'^teacher\.fine: the network fails .* set teacher\.fine\.size='
    with pytest.raises(UserError, match=message):
        losses_of(distiller, random_batch())


@pytest.mark.parametrize(
    ('name', 'says'),
    [('backbone', r'\.backbone: .* also a module'), ('a.b', r'\.a\.b: .* no dot|dot')],
)
def test_invalid_names(teachers, name, says):
    with pytest.raises(UserError, match=rf'^teacher{says}'):
        make({name: teachers['fine'], 'coarse': teachers['coarse']})


def test_keys_beside_names(teachers):
    """As when a config inherits a single teacher."""
    message = r"^teacher: keys of one teacher \(checkpoint\) beside the teacher 'fine'"
    with pytest.raises(UserError, match=message):
        inline_teacher(dict(checkpoint='a.pth', fine=teachers['fine']))


def test_inlined(tmp_path, teachers):
    Config(dict(model=teachers['fine']['model'])).dump(tmp_path / 'fine.py')
    checkpoint = teachers['fine']['checkpoint']
    given = dict(coarse=teachers['coarse'], fine=dict(config='fine.py'), old=None)
    given['fine']['checkpoint'] = checkpoint
    inlined = inline_teacher(given, tmp_path)
    assert list(inlined) == ['coarse', 'fine']
    assert inlined['fine']['model']['type'] == 'EncoderDecoder'
    assert inline_teacher(inlined) == inlined
    assert list(split_teachers(inlined)) == ['teacher.coarse', 'teacher.fine']


class Kill(Hook):
    """End a run without saving anything."""

    def before_train_iter(self, runner, *args, **kwargs):
        if runner.iter == 5:
            raise KeyboardInterrupt


def train(folder, teachers, resume=False, **options):
    losses = dict(
        loss_coarse=dict(type='KDLoss', teacher='coarse', loss_weight=3.0),
        loss_fine=dict(type='CWDLoss', teacher='fine', loss_weight='auto'),
        loss_both=dict(type='KDLoss', standardize=True, schedule=dict(warmup=3)),
        loss_feature=dict(type='FeatureMSELoss', adapter='conv', teacher='fine'),
    )
    config = dict(model=network(), teacher=teachers)
    torch.manual_seed(3)
    runner = runner_of(
        config,
        folder,
        losses,
        'resumed' if resume else '',
        resume=resume,
        max_iters=7,
        val_dataloader=loader(),
        val_cfg=dict(),
        val_evaluator=[IOU],
        **options,
    )
    with suppress(KeyboardInterrupt):
        runner.train()
    return runner


def test_halves_teach_all_classes_and_resume(tmp_path, teachers):
    """Bit by bit, with one loss each, their average and an adapter."""
    teachers['coarse']['class_map'] = COARSE
    teachers['fine']['class_map'] = FINE
    whole = train(tmp_path / 'whole', teachers)
    train(tmp_path / 'cut', teachers, custom_hooks=[Kill()])
    resumed = train(tmp_path / 'cut', teachers, resume=True)
    assert resumed.iter == 7
    expected = whole.distiller.student.state_dict()
    for name, value in resumed.distiller.student.state_dict().items():
        assert torch.equal(value, expected[name]), name
    expected = whole.distiller.distill_losses.state_dict()
    assert expected
    for name, value in resumed.distiller.distill_losses.state_dict().items():
        same = torch.equal if isinstance(value, torch.Tensor) else operator.eq
        assert same(value, expected[name]), name
    hub = whole.message_hub.log_scalars
    for name in ('coarse', 'fine', 'both', 'feature'):
        assert (hub[f'train/distill.loss_{name}'].data[0] > 0).all()
    (log,) = (tmp_path / 'whole').glob('*/*.log')
    text = log.read_text()
    for start in (
        'Teacher coarse on 4 of 4',
        'Teacher fine on 4 of 4',
        'Mean of the teachers on 4 of 4',
        'Teacher coarse in fp32: ',
        'Teacher fine in fp32: ',
        "teacher.fine: Classes (the dataset's <- the teacher's): ",
    ):
        assert text.count(start) == 1, start


def test_metrics(tmp_path, teachers):
    """Of each teacher, and of their common predictions."""
    runner = train(tmp_path / 'run', teachers)
    info = runner.message_hub.get_info('teacher_metrics')
    names = ('teacher.coarse', 'teacher.fine', 'teacher')
    assert [f'{name}/mIoU' for name in names] == [n for n in info if 'mIoU' in n]
    alone = train(
        tmp_path / 'alone', dict(fine=teachers['fine'], coarse=teachers['coarse'])
    )
    assert info == alone.message_hub.get_info('teacher_metrics')
    assert len({info[f'{name}/mIoU'] for name in names}) == 3
