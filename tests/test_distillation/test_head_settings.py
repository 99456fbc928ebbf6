"""Settings of a loss that come from the heads, and outputs of other kinds."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from scipy.special import expit, rel_entr, softmax
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.distillation import logit_match, tapped_loss
from mmkd.distillation.head_settings import activation_of
from mmkd.errors import UserError
from mmkd.losses.schedule import Progress
from mmkd.registry import MODELS
from tests.conftest import build, build_distiller, network, random_batch

TAP = 'decode_head.conv_seg'
SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True)
SOFTMAX = dict(type='CrossEntropyLoss')
DICE = dict(type='DiceLoss')  # of sigmoids by default
ONE_CHANNEL = dict(num_classes=2, out_channels=1, threshold=0.5, loss_decode=SIGMOID)
LOSS = 'distill_losses.loss_kd'
OPTIONS = dict(standardize=True, tau=0.33, divergence='BalancedKL')
COMPENSATED = dict(OPTIONS, scale_compensated=True, class_balanced=True)


@pytest.fixture
def lines(monkeypatch):
    """Collect what a loss logs when it reads the heads."""
    found = []
    monkeypatch.setattr(
        logit_match, 'print_log', lambda line, logger: found.append(line)
    )
    return found


@pytest.fixture
def make(tmp_path):
    """Build a Distiller of a student and a teacher by the options of their heads."""

    def make(student, teacher=None, **loss):
        student, teacher = (
            with_head(width, head)
            for width, head in (
                (8, student),
                (16, student if teacher is None else teacher),
            )
        )
        checkpoint = tmp_path / 'teacher.pth'
        torch.manual_seed(7)
        weights = build(teacher).state_dict()
        for name in weights:
            if 'decode_head.conv_seg' in name:  # a teacher with opinions
                weights[name] = 100 * weights[name]
        torch.save(weights, checkpoint)
        config = dict(
            model=student,
            teacher=dict(model=teacher, checkpoint=str(checkpoint)),
            distill_losses=dict(loss_kd=dict(dict(type='KDLoss'), **loss)),
        )
        return build_distiller(config).train()

    return make


def with_head(width, options):
    """Config of a segmentor with these options of its head and no dropout."""
    config = network(width=width)
    config['decode_head'].update(copy.deepcopy(options), dropout_ratio=0)
    del config['auxiliary_head']
    return config


def loss_and_logits(distiller, classes):
    """The distillation loss of a batch, and at valid pixels the logits of both."""
    data = distiller.data_preprocessor(random_batch(classes=classes), True)
    loss = distiller(**copy.deepcopy(data), mode='loss')['distill.loss_kd']
    with torch.no_grad():
        student = distiller.student(data['inputs'], mode='tensor')
    teacher = distiller.teacher.outputs(data['inputs'], [TAP])[TAP]
    label = torch.stack([sample.gt_sem_seg.data[0] for sample in data['data_samples']])
    valid = interpolate(label[:, None].float(), student.shape[2:])[:, 0] != 255
    logits = (x.movedim(1, -1)[valid].double().numpy() for x in (student, teacher))
    return loss.detach(), *logits


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(), 'softmax'),
        (dict(loss_decode=SIGMOID), 'sigmoid'),
        (dict(loss_decode=[SIGMOID, DICE]), 'sigmoid'),
        (dict(loss_decode=[SOFTMAX, DICE]), 'softmax'),
        (dict(loss_decode=[DICE, SOFTMAX]), 'softmax'),
        (dict(loss_decode=dict(type='OhemCrossEntropy')), 'softmax'),
    ],
    ids=str,
)
def test_activation_of_a_segmentor(options, expected):
    model = build(with_head(8, options))
    assert activation_of(model, TAP) == expected
    assert activation_of(model, 'decode_head') == expected
    assert activation_of(model, 'backbone.layer4') is None


@pytest.mark.parametrize(
    ('head', 'expected'),
    [
        (dict(type='LinearClsHead'), 'softmax'),
        (dict(type='MultiLabelLinearClsHead'), 'sigmoid'),
        (dict(type='MultiLabelLinearClsHead', loss=dict(type='FocalLoss')), 'sigmoid'),
        (
            dict(
                type='LinearClsHead',
                loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1)
                | dict(mode='original', use_sigmoid=True),
            ),
            'sigmoid',
        ),
    ],
    ids=str,
)
def test_activation_of_a_classifier(head, expected):
    assert activation_of(MODELS.build(classifier(**head)), 'head.fc') == expected


def classifier(**head):
    """Config of a small classifier."""
    if 'loss' in head:
        head['loss'] = dict(head['loss'], type='mmpretrain.' + head['loss']['type'])
    head = dict(dict(num_classes=5, in_channels=64), **head)
    config = dict(
        type='mmpretrain.ImageClassifier',
        data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor'),
        backbone=dict(type='mmpretrain.ResNet_CIFAR', depth=18, base_channels=8)
        | dict(stem_channels=8),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(head, type='mmpretrain.' + head['type']),
    )
    return Config(dict(model=config)).model


def test_settings_of_the_students_head(make, lines):
    head = dict(ignore_index=250, align_corners=True)
    loss = make(head).losses[0].loss
    assert (loss.ignore_index, loss.align_corners) == (250, True)
    assert lines == [
        f"{LOSS}: ignore_index=250, align_corners=True, as in the student's head"
    ]


def test_settings_in_the_losss_config_prevail(make, lines):
    head = dict(ignore_index=250, align_corners=True)
    loss = make(head, ignore_index=255, align_corners=False).losses[0].loss
    assert (loss.ignore_index, loss.align_corners) == (255, False)
    assert not lines


def test_nothing_is_logged_of_the_defaults(make, lines):
    make(dict())
    assert not lines


@pytest.mark.parametrize('loss', ['KDLoss', 'CWDLoss', 'DKDLoss'])
def test_pixels_that_the_head_ignores(make, loss):
    """Labels of 250 are ignored like those of 255 by default."""
    batch = random_batch()
    values = []
    for ignored in (255, 250):
        for sample in batch['data_samples']:
            sample.gt_sem_seg.data[:, :4] = ignored
        torch.manual_seed(0)
        distiller = make(dict(ignore_index=ignored), type=loss)
        data = distiller.data_preprocessor(copy.deepcopy(batch), True)
        values.append(distiller(**data, mode='loss')['distill.loss_kd'])
    assert values[0] == values[1] > 0


@pytest.mark.parametrize('tau', [1.0, 2.0])
@pytest.mark.parametrize(
    ('student', 'teacher', 'classes'),
    [
        (ONE_CHANNEL, ONE_CHANNEL, 2),
        (dict(loss_decode=SIGMOID), dict(loss_decode=SIGMOID), 5),
        (ONE_CHANNEL, dict(num_classes=2), 2),
        (dict(loss_decode=SIGMOID), dict(), 5),
        (dict(loss_decode=SIGMOID, num_classes=2), dict(num_classes=2), 2),
    ],
    ids=['one', 'sigmoids', 'one of two', 'sigmoids of a softmax', 'two of two'],
)
def test_sigmoids_are_compared_one_by_one(student, teacher, classes, tau, make):
    """With those of the teacher, or with its probabilities of a softmax."""
    distiller = make(student, teacher, tau=tau)
    loss, ours, theirs = loss_and_logits(distiller, classes)
    if 'loss_decode' not in teacher:  # log odds
        theirs = softmax(theirs, axis=1)
        theirs = torch.from_numpy(theirs).logit().numpy()[:, -ours.shape[1] :]
    p, q = expit(theirs / tau), expit(ours / tau)
    expected = tau**2 * (rel_entr(p, q) + rel_entr(1 - p, 1 - q)).mean()
    assert expected > 1e-3
    assert_close(loss.item(), expected, rtol=1e-4, atol=0)


def test_a_softmax_of_two_classes_learns_from_one_channel(make):
    loss, ours, theirs = loss_and_logits(make(dict(num_classes=2), ONE_CHANNEL), 2)
    on = expit(theirs[:, 0])
    q = softmax(ours, axis=1)
    expected = (rel_entr(on, q[:, 1]) + rel_entr(1 - on, q[:, 0])).mean()
    assert_close(loss.item(), expected, rtol=1e-4, atol=0)


def test_a_softmax_learns_from_sigmoids_only_by_name(make):
    teacher = dict(loss_decode=SIGMOID)
    with pytest.raises(UserError, match=f"^{LOSS}: .*set activation='softmax'"):
        make(dict(), teacher)
    loss, ours, theirs = loss_and_logits(make(dict(), teacher, activation='softmax'), 5)
    p, q = (softmax(x, axis=1) for x in (theirs, ours))
    assert_close(loss.item(), rel_entr(p, q).sum(1).mean(), rtol=1e-4, atol=0)


@pytest.mark.parametrize('kind', ['DKDLoss', 'MLKDLoss', 'DISTLoss'])
@pytest.mark.parametrize('head', [ONE_CHANNEL, dict(loss_decode=SIGMOID)])
def test_losses_of_a_distribution_refuse_sigmoids(kind, head, make):
    message = f'^{LOSS}: {kind} cannot compare sigmoid outputs, .*; use KDLoss'
    with pytest.raises(UserError, match=message):
        make(head, type=kind)


def test_one_channel_is_no_softmax_by_name_either(make):
    with pytest.raises(UserError, match=f'^{LOSS}: .* one channel'):
        make(ONE_CHANNEL, activation='softmax')


def test_cwd_compares_one_channel(make):
    assert loss_and_logits(make(ONE_CHANNEL, type='CWDLoss'), 2)[0] > 0


@pytest.mark.parametrize('teacher', [ONE_CHANNEL, dict(num_classes=2)])
def test_channels_that_the_first_batch_tells(teacher, make, lines):
    """A head around another network may not know how many channels it returns."""
    distiller = make(ONE_CHANNEL, teacher, **COMPENSATED)
    config = dict(type='KDLoss', **COMPENSATED)
    loss = tapped_loss.TappedLoss('loss_kd', config)
    for model in (distiller.student, distiller.teacher.model):
        model.decode_head.out_channels = None
        model.decode_head.loss_decode = MODELS.build(
            dict(SOFTMAX, type='mmseg.CrossEntropyLoss')
        )
        model.decode_head.conv_seg = torch.nn.Sequential(model.decode_head.conv_seg)
    loss.find_taps(distiller.student, distiller.teacher.members)
    assert loss.loss.standardize
    student = torch.randn(2, 1, 4, 4)
    other = torch.randn(2, teacher.get('out_channels', 2), 4, 4)
    found, want = (
        each({TAP: student}, {TAP: other}, None, None, Progress(), torch.zeros(()))
        for each in (loss, distiller.losses[0])
    )
    assert found == want
    assert not loss.loss.standardize


def test_features_are_no_logits():
    """Whatever the heads' activations, features are compared as they are."""
    tap = 'backbone.layer4'
    config = dict(type='CWDLoss', student=tap, teacher=tap)
    loss = tapped_loss.TappedLoss('loss_cwd', config)
    heads = dict(loss_decode=SIGMOID), dict()
    student, teacher = (build(with_head(8, head)) for head in heads)
    loss.find_taps(student, {'': SimpleNamespace(model=teacher)})
    assert loss.logits.convert is None
    assert loss.loss.activation is None


@pytest.mark.parametrize(
    ('head', 'reason'),
    [
        (ONE_CHANNEL, 'a sigmoid has a single logit'),
        (dict(loss_decode=SIGMOID), 'a sigmoid has a single logit'),
        (dict(num_classes=2), 'two standardized logits are always +-0.71'),
    ],
)
@pytest.mark.parametrize(
    ('options', 'weight', 'off'),
    [
        (OPTIONS, 1 / 9, 'standardize is'),
        (COMPENSATED, 1.0, 'standardize and scale_compensated are'),
    ],
)
def test_standardization_of_fewer_than_three_logits(
    head, reason, options, weight, off, make, lines
):
    loss = make(head, **options).losses[0].loss
    assert not loss.standardize
    assert not loss.scale_compensated
    assert_close((loss.tau, loss.loss_weight), (0.99, weight))
    (line,) = [line for line in lines if 'standardize' in line]
    assert line.startswith(f'{LOSS}: {off} off, because {reason}; plain logits')


def test_channels_of_two_classes_are_standardized(make, lines):
    assert make(dict(num_classes=2), type='CWDLoss', standardize=True)
    assert not lines


def test_map_loss_of_a_classifier():
    loss = tapped_loss.TappedLoss('loss_cwd', dict(type='CWDLoss'))
    model = MODELS.build(classifier(type='LinearClsHead'))
    teachers = {'': SimpleNamespace(model=model)}
    message = (
        r"^distill_losses.loss_cwd: CWDLoss compares maps, but the student's 'head.fc' "
        'outputs one vector per image; use KDLoss'
    )
    with pytest.raises(UserError, match=message):
        loss.find_taps(model, teachers)
    maps = dict(type='CWDLoss', student='backbone.layer4', teacher='backbone.layer4')
    tapped_loss.TappedLoss('loss_cwd', maps).find_taps(model, teachers)


@pytest.mark.parametrize('scored', [False, True])
def test_several_labels_per_image(scored, tmp_path):
    """As lists of labels, or as a score of each class."""
    from mmpretrain.structures import DataSample

    config = classifier(type='MultiLabelLinearClsHead')
    torch.save(MODELS.build(config).state_dict(), tmp_path / 'teacher.pth')
    distiller = build_distiller(
        dict(
            model=config,
            teacher=dict(model=config, checkpoint=str(tmp_path / 'teacher.pth')),
            distill_losses=dict(loss_kd=dict(type='KDLoss', standardize=True)),
        )
    )
    samples = []
    for labels in ([0, 2, 3], [1]):
        score = torch.zeros(5).index_fill_(0, torch.tensor(labels), 1.0)
        sample = DataSample().set_gt_label(labels)
        samples.append(sample.set_gt_score(score) if scored else sample)
    losses = distiller(torch.rand(2, 3, 32, 32), samples, mode='loss')
    assert losses['distill.loss_kd'] > 0
    assert losses['task.loss'] > 0
