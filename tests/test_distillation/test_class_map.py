"""Distillation from a teacher whose outputs are not the dataset's classes."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from torch.nn.functional import interpolate
from torch.testing import assert_close

from mmkd.distillation.class_map import ClassMap
from mmkd.errors import UserError
from mmkd.evaluation import FidelityMetric
from mmkd.registry import MODELS, qualified
from tests.conftest import CLASSES, build_distiller, network, random_batch
from tests.reference import pair

NAMES = ('road', 'sky', 'car', 'tree', 'pole')
# Of the teacher; 'car' and 'truck' together are 'car'.
THEIRS = ('void', 'pole', 'car', 'sky', 'road', 'truck', 'tree')
GROUPS = ((4,), (3,), (2, 5), (6,), (1,))
LOSSES = {
    'kd': dict(type='KDLoss', standardize=True, divergence='BalancedKL'),
    'balanced': dict(type='KDLoss', class_balanced=True, resolution='label'),
    'dkd': dict(type='DKDLoss'),
    'cwd': dict(type='CWDLoss'),
    'dist': dict(type='DISTLoss'),
    'mlkd': dict(type='MLKDLoss'),
}


@pytest.fixture
def permuted(teacher_config, tmp_path):
    """The same teacher with its outputs in another order, one of them split in two."""
    torch.manual_seed(3)
    checkpoint = torch.load(teacher_config['checkpoint'])
    state = checkpoint['state_dict']
    config = network(width=16, classes=len(THEIRS))
    for head in ('decode_head', 'auxiliary_head'):
        for kind in ('weight', 'bias'):
            name = f'{head}.conv_seg.{kind}'
            old = state[name]
            new = torch.randn(len(THEIRS), *old.shape[1:])  # void's remains random
            for index, group in enumerate(GROUPS):
                new[list(group)] = old[index]
            if kind == 'bias':
                new[2] += torch.tensor(0.3).log()
                new[5] += torch.tensor(0.7).log()
            state[name] = new
    meta = dict(dataset_meta=dict(classes=THEIRS))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'permuted.pth')
    return dict(
        model=config,
        checkpoint=str(tmp_path / 'permuted.pth'),
        class_map={'car': ['car', 'truck']},
    )


def make(config, classes=NAMES, mode=True):
    torch.manual_seed(0)
    distiller = build_distiller(config).train(mode)
    distiller.map_classes(classes)
    for module in distiller.student.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
    return distiller


def losses_of(distiller, batch):
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    return distiller.loss(**data)


@pytest.mark.parametrize('correction', [None, 'TeacherCorrection'])
def test_deep_supervision_has_the_teachers_classes(
    distiller_config, permuted, correction
):
    loss = dict(type='KDLoss', teacher_correction=correction)
    deep = dict(type='DeepSupervisionLoss', loss=loss)
    distiller_config |= dict(teacher=permuted, distill_losses=dict(loss_deep=deep))
    if correction is not None:
        message = r'^distill_losses\.loss_deep\.loss: KDLoss uses labels'
        with pytest.raises(UserError, match=message):
            make(distiller_config)
        return
    distiller = make(distiller_config)
    data = distiller.data_preprocessor(random_batch(), True)
    distiller.build_adapters(data['inputs'], data['data_samples'], seed=0)
    assert distiller.losses[0].adapter.network.out_channels == len(THEIRS)
    assert distiller.loss(**data)['distill.loss_deep'] > 0


def test_every_loss_is_that_of_the_same_classes(distiller_config, permuted):
    distiller_config['distill_losses'] = {f'loss_{k}': v for k, v in LOSSES.items()}
    batch = random_batch()
    expected = losses_of(make(distiller_config), batch)
    distiller_config['teacher'] = permuted
    found = losses_of(make(distiller_config), batch)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_classes_left_out_are_in_neither_distribution(distiller_config, permuted):
    """Against the formula, one pixel at a time."""
    permuted['class_map'] = dict(car=['truck', 'car'], tree=None)
    distiller_config['teacher'] = permuted
    distiller = make(distiller_config)
    batch = random_batch()
    found = losses_of(distiller, batch)['distill.loss_kd']
    data = distiller.data_preprocessor(copy.deepcopy(batch), True)
    with torch.no_grad():
        student = distiller.student(data['inputs'], mode='tensor').double()
        teacher = distiller.teacher.model(data['inputs'], mode='tensor').double()
    label = torch.stack([s.gt_sem_seg.data[0] for s in data['data_samples']])
    label = interpolate(label[:, None].float(), student.shape[2:])[:, 0]
    values = []
    for s, t, y in zip(
        student.movedim(1, -1).flatten(0, 2).tolist(),
        teacher.movedim(1, -1).flatten(0, 2).tolist(),
        label.flatten().tolist(),
        strict=True,
    ):
        if y in (3, 255):
            continue
        q = torch.tensor(s, dtype=torch.float64)[[0, 1, 2, 4]].softmax(0)
        e = torch.tensor(t, dtype=torch.float64).exp()
        p = torch.stack([e[4], e[3], e[2] + e[5], e[1]])
        p = p / p.sum()
        values.append((p * (p / q).log()).sum())
    assert_close(found.double(), torch.stack(values).mean(), rtol=1e-4, atol=0)


def test_no_gradient_reaches_the_logits_left_out():
    class_map = ClassMap(((1,), (), (0, 2), (3,)), outputs=4)
    student, teacher = (x.float() for x in pair(2, 4, 3, 3))
    student.requires_grad_()
    target = torch.randint(0, 4, (2, 3, 3))
    for config in LOSSES.values():
        loss = MODELS.build(qualified(dict(config)))
        value = loss(*class_map.align(student, teacher, target, 255))
        (gradient,) = torch.autograd.grad(value, student)
        assert not gradient[:, 1].any()
        assert gradient[:, [0, 2, 3]].any()
        assert not gradient.movedim(1, -1)[target == 1].any() or 'CWD' in config['type']


@pytest.mark.parametrize('soft', [False, True])
def test_vectors(soft):
    """Images of a class that is left out are removed; 255 may be a class."""
    class_map = ClassMap(((0,), *[(i,) for i in range(1, 299)], ()), outputs=300)
    student, teacher = pair(4, 300)
    target = torch.tensor([255, 299, 0, 299])
    if soft:
        target = torch.nn.functional.one_hot(target, 300).double()
    s, t, y = class_map.align(student, teacher, target, 255)
    assert s.shape == t.shape == (4 if soft else 2, 299)
    assert y.shape == ((4, 299) if soft else (2,))
    if not soft:
        assert y.tolist() == [255, 0]
        assert torch.equal(s, student[[0, 2], :299])


def test_an_ignored_label_that_is_a_class(distiller_config, permuted):
    permuted['class_map'] = dict(car=['truck', 'car'], tree=None)
    distiller_config['teacher'] = permuted
    distiller_config['distill_losses']['loss_kd']['ignore_index'] = 0
    with pytest.raises(UserError, match=r'^distill_losses\.loss_kd\.ignore_index: 0'):
        make(distiller_config)


def test_without_a_dataset_the_map_is_by_index(distiller_config, permuted):
    permuted['class_map'] = {index: list(group) for index, group in enumerate(GROUPS)}
    distiller_config['teacher'] = permuted
    expected = losses_of(make(distiller_config), batch := random_batch())
    torch.manual_seed(0)
    distiller = build_distiller(distiller_config)
    distiller.map_classes()
    assert distiller.teacher.class_map.groups == GROUPS
    distiller.teacher.class_map = None
    distiller.student = make(distiller_config).student
    found = losses_of(distiller, batch)
    assert_close(found['distill.loss_kd'], expected['distill.loss_kd'])


def test_the_teacher_predicts_our_classes(distiller_config, permuted):
    """Like the teacher of the same classes, and none that is left out."""
    batch = random_batch(3)
    expected = make(distiller_config, mode=False).teacher.val_step(copy.deepcopy(batch))
    distiller_config['teacher'] = permuted
    mapped = make(distiller_config, mode=False).teacher
    found = mapped.val_step(copy.deepcopy(batch))
    for sample, other in zip(found, expected, strict=True):
        same = sample.pred_sem_seg.data == other.pred_sem_seg.data
        assert same.float().mean() > 0.999
        assert sample.seg_logits.data.shape == other.seg_logits.data.shape
    common = torch.cat([s.pred_sem_seg.data for s in expected]).flatten().bincount()
    left_out = int(common.argmax())
    permuted['class_map'] = {'car': ['truck', 'car'], left_out: None}
    partial = make(distiller_config, mode=False).teacher
    for sample in partial.val_step(copy.deepcopy(batch)):
        assert not (sample.pred_sem_seg.data == left_out).any()


def test_fidelity_of_the_common_classes(distiller_config, permuted):
    """Is that of networks that have only these classes."""
    permuted['class_map'] = dict(car=['truck', 'car'], tree=None)
    distiller_config['teacher'] = permuted
    distiller = make(distiller_config, mode=False)
    distiller.compares = True
    with torch.no_grad():
        samples = distiller.val_step(random_batch(3))
    kept = [0, 1, 2, 4]
    metric, alone = FidelityMetric(), FidelityMetric()
    metric.process(None, [sample.to_dict() for sample in samples])
    table = torch.tensor([0, 1, 2, 255, 3])
    for sample in samples:
        for name in ('student_logits', 'teacher_logits'):
            sample.set_field(sample.get(name)[kept], name)
        label = sample.gt_sem_seg.data
        label = torch.where(label == 255, label, table[label.clamp(max=4)])
        sample.gt_sem_seg = PixelData(data=label)
    alone.process(None, [sample.to_dict() for sample in samples])
    found, expected = metric.evaluate(3), alone.evaluate(3)
    assert found == pytest.approx(expected, nan_ok=True)
    assert 0 < found['fidelity/forward_kl'] < 100
    assert 0 < found['fidelity/reverse_kl'] < 100


def test_fidelity_of_vectors():
    """An image of a class that is left out does not count."""
    logits = torch.tensor([1.0, 4.0, 3.0, 2.0])
    teacher = ClassMap(((0,), (1,), (), (3,)), 4).spread(logits[None])[0]
    samples = [
        dict(student_logits=s, teacher_logits=teacher, gt_label=torch.tensor([label]))
        for s, label in ((logits, 1), (logits.flip(0), 2))
    ]
    metric = FidelityMetric()
    metric.process(None, samples)
    found = metric.evaluate(2)
    assert found['fidelity/agreement'] == 1.0
    assert found['fidelity/forward_kl'] == pytest.approx(0)
    confidence = logits[[0, 1, 3]].softmax(0).max().item()
    assert found['fidelity/ece'] == pytest.approx(1 - confidence, abs=1e-6)


def test_a_tap_of_features_is_not_mapped(distiller_config, permuted):
    """Only outputs over the classes of both are."""
    class_map = ClassMap(GROUPS, len(THEIRS))
    assert class_map.applies(torch.zeros(1, CLASSES), torch.zeros(1, len(THEIRS)))
    assert not class_map.applies(torch.zeros(1, 8), torch.zeros(1, 8))
    distiller_config['teacher'] = permuted
    distiller_config['distill_losses']['loss_kd'].update(
        student='decode_head.bottleneck', teacher='decode_head.conv_seg'
    )
    with pytest.raises(UserError, match=r'loss_kd'):
        losses_of(make(distiller_config), random_batch())


def test_classifiers(classifiers, tmp_path):
    """Scores and labels are of our classes, also at another size of the images."""
    from mmpretrain.structures import DataSample

    ours = [f'class {number}' for number in range(7)]
    state = torch.load(classifiers['teacher']['checkpoint'])['state_dict']
    order = [6, 5, 4, 3, 2, 1, 0, 0]  # the first class is split in two
    for kind in ('weight', 'bias'):
        state[f'head.fc.{kind}'] = state[f'head.fc.{kind}'][order]
    state['head.fc.bias'][6:] -= torch.tensor(2.0).log()
    theirs = [*ours[:0:-1], 'first half', 'second half']
    meta = dict(dataset_meta=dict(classes=theirs))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'split.pth')
    model = copy.deepcopy(classifiers['model'])
    model['head']['num_classes'] = 8
    split = dict(model=model, checkpoint=str(tmp_path / 'split.pth'), scale=2)
    split['class_map'] = {'class 0': ['first half', 'second half']}

    inputs = torch.rand(4, 3, 32, 32)
    samples = [DataSample().set_gt_label(label) for label in (0, 3, 6, 0)]
    results, losses = [], []
    for teacher in (dict(classifiers['teacher'], scale=2), split):
        distiller = make(dict(classifiers, teacher=teacher), ours, mode=False)
        batch = dict(inputs=inputs, data_samples=copy.deepcopy(samples))
        results.append(distiller.teacher.val_step(batch))
        losses.append(distiller.loss(inputs, samples)['distill.loss_kd'])
    assert_close(*losses)
    for expected, found in zip(*results, strict=True):
        assert_close(found.pred_score, expected.pred_score)
        assert torch.equal(found.pred_label, expected.pred_label)
        assert found.pred_label.shape == expected.pred_label.shape
    absent = int(results[0][0].pred_label)
    split['class_map'][absent] = None
    partial = make(dict(classifiers, teacher=split), ours, mode=False)
    partial.compares = True
    for sample in partial.teacher.val_step(dict(inputs=inputs, data_samples=samples)):
        assert sample.pred_label != absent
        assert sample.pred_score[absent] == 0
        assert sample.pred_score.sum() == pytest.approx(1)
    with torch.no_grad():
        both = partial.val_step(dict(inputs=inputs, data_samples=samples))
    metric = FidelityMetric()
    metric.process(None, [sample.to_dict() for sample in both])
    found = metric.evaluate(4)
    assert 0 < found['fidelity/forward_kl'] < 10


def test_two_classes_that_are_left(distiller_config, permuted):
    """Are compared without standardization, like any two classes."""
    permuted['class_map'] = dict(road=None, sky=None, tree=None, car=['truck', 'car'])
    distiller_config['teacher'] = permuted
    distiller_config['distill_losses']['loss_kd']['standardize'] = True
    distiller = make(distiller_config)
    assert not distiller.distill_losses['loss_kd'].standardize
    assert losses_of(distiller, random_batch())['distill.loss_kd'] > 0


@pytest.mark.parametrize('named', [True, False])
def test_a_torch_module_with_void(distiller_config, tmp_path, named):
    """Matched by the names of the model, or by index."""
    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, 6, kernel_size=1)
    torch.save(module.state_dict(), tmp_path / 'conv.pth')
    model = dict(
        type='mmkd.TorchSegmentor',
        module=dict(
            type='torch.nn.Conv2d', in_channels=3, out_channels=6, kernel_size=1
        ),
        mean=[0.5] * 3,
        std=[0.25] * 3,
    )
    teacher = dict(model=model, checkpoint=str(tmp_path / 'conv.pth'))
    if named:
        model['classes'] = ['void', *NAMES]
    else:
        teacher['class_map'] = {index: index + 1 for index in range(CLASSES)}
    distiller_config['teacher'] = teacher
    distiller = make(distiller_config, mode=False)
    batch = random_batch()
    assert losses_of(distiller, batch)['distill.loss_kd'] > 0
    assert distiller.teacher.class_map.unused == (0,)
    data = distiller.teacher.model.data_preprocessor(copy.deepcopy(batch), False)
    with torch.no_grad():
        expected = module(data['inputs'])[:, 1:].argmax(1)
    found = distiller.teacher.val_step(batch)
    assert torch.equal(torch.cat([s.pred_sem_seg.data for s in found]), expected)
