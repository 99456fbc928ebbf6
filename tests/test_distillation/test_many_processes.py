"""Two processes train as one, and the teacher stays where it is."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope

from mmkd.datasets.position_seeding import PositionBatchSampler
from mmkd.distillation import Distiller
from mmkd.distillation.distill_hook import DistillHook
from mmkd.engine.cpu_amp import CpuAmpOptimWrapper
from mmkd.engine.hooks import BroadcastBuffersHook
from mmkd.engine.hooks.deterministic_hook import position_seeds, seed_loader
from mmkd.engine.speed import Speed, choose
from tests.conftest import HANGS, build, build_distiller, network, random_batch
from tests.test_tools.conftest import preload

LOSSES = {
    'kd': dict(type='KDLoss'),
    'bdd-ls': dict(
        type='KDLoss', standardize=True, divergence='BalancedKL', resolution='label'
    ),
    'dkd': dict(type='DKDLoss'),
    'ctkd': dict(type='CTKDLoss', warmup=0, by_epoch=False),
    'cwd': dict(type='CWDLoss'),
    'mlkd': dict(type='MLKDLoss'),
    'dist': dict(type='DISTLoss'),
}
LOSS = dict(loss_kd=LOSSES['kd'])
AUTO = dict(loss_kd=dict(type='KDLoss', loss_weight='auto'))
UNLABELED = ('distill.loss_kd', 'unlabeled.loss_kd')
OVER_POSITIONS = ['kd', 'bdd-ls', 'dkd', 'ctkd', 'cwd']


def make(config, loss):
    """A Distiller with frozen BN and without dropout."""
    config = copy.deepcopy(config)
    config['distill_losses'] = dict(loss_kd=LOSSES[loss])
    torch.manual_seed(0)
    return build_distiller(config).eval()


def batch_of(ignored):
    """Four images; so many rows of each are ignored."""
    torch.manual_seed(1)
    batch = random_batch(4)
    for sample, rows in zip(batch['data_samples'], ignored, strict=True):
        sample.gt_sem_seg.data[:, :rows] = 255
    return torch.stack(batch['inputs']) / 128 - 1, batch['data_samples']


def gradient(model, batch, images, names=('distill.loss_kd',)):
    """Gradient of the distillation for some images of a batch, in float64."""
    inputs, samples = batch
    losses = model(inputs[images].double(), samples[images], mode='loss')
    # DDP wants every parameter to have one.
    total, _ = getattr(model, 'module', model).parse_losses(losses)
    (sum(losses[name] for name in names) + 0 * total).backward()
    return {
        name.removeprefix('module.'): parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }


def unlabeled_gradient(config, images, wrap=lambda distiller: distiller):
    """Gradient of both distillations, on the same images of a batch."""
    distiller = Distiller(
        build_distiller(config | dict(distill_losses=LOSS), initialize=False).student,
        config['teacher'],
        LOSS,
        unlabeled=dict(weight=3.0),
    )
    torch.manual_seed(0)
    distiller.init_weights()
    distiller.eval().double()
    inputs, samples = batch_of(EQUAL)
    distiller.data_preprocessor.forward = lambda batch, training: batch
    distiller.unlabeled.batch = dict(
        inputs=inputs[images].double(), data_samples=samples[images]
    )
    return gradient(wrap(distiller), (inputs, samples), images, UNLABELED)


def auto_weight(config, images):
    """An automatic weight and the norms that gave it."""
    config = dict(config, distill_losses=AUTO)
    torch.manual_seed(0)
    distiller = build_distiller(config).eval().double()
    inputs, samples = batch_of(UNEQUAL)
    distiller(inputs[images].double(), samples[images], mode='loss')
    auto = distiller.losses[0].auto
    return auto.value, auto.get_extra_state()


def images_of_process(rank):
    """The unlabeled images of the first six batches of one."""
    config = dict(sampler=dict(type='InfiniteSampler', shuffle=True))
    loader = torch.utils.data.DataLoader(range(6), 1)
    batches = PositionBatchSampler(loader.batch_sampler, (0, rank))
    loader = SimpleNamespace(dataset=range(6), batch_sampler=batches)
    runner = SimpleNamespace(seed=0, _randomness_cfg={})
    seed_loader(loader, config, position_seeds(runner, stream=1))
    return [index for ((index, *_),), _ in zip(batches, range(6), strict=False)]


def one_of_two(rank, config, jobs, folder):
    """A process: writes its gradients, and how much went over the network."""
    rendezvous = f'file://{folder}/rendezvous'
    torch.distributed.init_process_group('gloo', rendezvous, None, 2, rank)
    images, found = slice(2 * rank, 2 * rank + 2), {}
    with DefaultScope.overwrite_default_scope('mmseg'):
        found['theta'] = theta_after_start(rank, config)
        for loss, ignored in jobs:
            distiller = make(config, loss).double()
            torch.distributed.barrier()
            before = received()
            model = MMDistributedDataParallel(
                distiller, device_ids=None, broadcast_buffers=False
            )
            gradients = gradient(model, batch_of(ignored), images)
            torch.distributed.barrier()
            found[loss, ignored] = gradients, received() - before
        found['unlabeled'] = unlabeled_gradient(
            config,
            images,
            lambda model: MMDistributedDataParallel(
                model, device_ids=None, broadcast_buffers=False
            ),
        )
        found['auto'] = auto_weight(config, images)
    found['images'] = images_of_process(rank)
    found['speed'] = choose({Speed(): 1.0, Speed('bfloat16'): 0.5 + rank}).amp
    found['buffers'] = buffers_when_validated(rank)
    torch.save(found, f'{folder}/{rank}.pth')
    torch.distributed.destroy_process_group()


def buffers_when_validated(rank):
    """Statistics of a BN, which differ by process, and how many batches it saw."""
    model = torch.nn.BatchNorm1d(3)
    for buffer in model.buffers():
        buffer.fill_(7 + rank)
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    return {name: buffer.tolist() for name, buffer in model.named_buffers()}


def theta_after_start(rank, config):
    """CTKD's theta, which is the rank before a training starts."""
    distiller = make(config, 'ctkd')
    theta = distiller.distill_losses['loss_kd'].theta
    theta.data.fill_(rank)
    DistillHook().before_train(
        SimpleNamespace(
            distiller=distiller,
            train_dataloader=SimpleNamespace(dataset=None),
            train_loop=None,
            iter=0,
            epoch=0,
            max_iters=4,
            max_epochs=1,
        )
    )
    return theta.item()


def received():
    """Bytes that this machine has sent itself."""
    (line,) = [x for x in Path('/proc/net/dev').read_text().split('\n') if 'lo:' in x]
    return int(line.partition(':')[2].split()[0])


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    """A small student of a large teacher."""
    teacher = network(width=32)
    torch.manual_seed(7)
    with DefaultScope.overwrite_default_scope('mmseg'):
        state = build(teacher).state_dict()
    checkpoint = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(dict(state_dict=state, meta={}), checkpoint)
    return dict(
        model=network(),
        teacher=dict(model=teacher, checkpoint=str(checkpoint)),
    )


EQUAL = (4, 8, 8, 4)  # rows that are ignored: of both processes as many
UNEQUAL = (4, 4, 24, 24)


@pytest.fixture(scope='module')
def in_two(config, tmp_path_factory):
    """Results of two processes, and the tensors they received."""
    folder = tmp_path_factory.mktemp('two')
    jobs = [*((loss, EQUAL) for loss in OVER_POSITIONS), ('kd', UNEQUAL)]
    processes = [
        preload().Process(target=one_of_two, args=(rank, config, jobs, str(folder)))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(HANGS)
        assert process.exitcode == 0
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


def test_all_start_with_one_theta(in_two):
    assert [found['theta'] for found in in_two] == [0, 0]


def test_all_train_in_the_precision_of_rank_0(in_two):
    """By its own times, rank 1 would choose float32."""
    assert [found['speed'] for found in in_two] == ['bfloat16'] * 2


def difference(found, expected):
    """The largest, against the largest number of all."""
    assert found.keys() == expected.keys()
    largest = max(float(value.abs().max()) for value in expected.values())
    return max(float((found[n] - expected[n]).abs().max()) for n in expected) / largest


def test_validation_has_the_buffers_of_rank_0(in_two):
    """Both processes validate with the buffers that rank 0 saves."""
    for found in in_two:
        statistics = dict(running_mean=[7.0] * 3, running_var=[7.0] * 3)
        assert found['buffers'] == dict(**statistics, num_batches_tracked=7)


@pytest.mark.parametrize('loss', OVER_POSITIONS)
def test_gradients_are_those_of_one_process(config, in_two, loss):
    distiller = make(config, loss).double()
    expected = gradient(distiller, batch_of(EQUAL), slice(4))
    for found in in_two:
        assert difference(found[loss, EQUAL][0], expected) < 1e-12


def test_unlabeled_images(config, in_two):
    """Each process has its own; the gradients are averaged like any others."""
    expected = unlabeled_gradient(config, slice(4))
    for found in in_two:
        assert difference(found['unlabeled'], expected) < 1e-12
    alone = gradient(make(config, 'kd').double(), batch_of(EQUAL), slice(4))
    assert difference(expected, alone) > 0.1
    first, second = (found['images'] for found in in_two)
    assert sorted(first[:3] + second[:3]) == list(range(6))


def test_automatic_weight(config, in_two):
    """All processes have the ratio of the mean norms."""
    alone = [auto_weight(config, part)[1] for part in (slice(2), slice(2, 4))]
    task, distillation = (
        sum(state[name] for state in alone) for name in ('task', 'distillation')
    )
    weights = [found['auto'][0] for found in in_two]
    assert weights[0] == weights[1] == pytest.approx(task / distillation, rel=1e-6)


def test_unequal_counts(config, in_two):
    """Each process weighs the same, as with mmseg's own cross entropy."""
    alone = []
    for images in (slice(2), slice(2, 4)):
        distiller = make(config, 'kd').double()
        alone.append(gradient(distiller, batch_of(UNEQUAL), images))
    expected = {name: (alone[0][name] + alone[1][name]) / 2 for name in alone[0]}
    for found in in_two:
        assert difference(found['kd', UNEQUAL][0], expected) < 1e-12


def test_teacher_is_never_sent(config, in_two):
    """Nor are its gradients: what goes round is of the student's size."""
    student, teacher = (
        8 * sum(parameter.numel() for parameter in build(network).parameters())
        for network in (config['model'], config['teacher']['model'])
    )
    jobs = [job for job in in_two[0] if isinstance(job, tuple)]
    sent = max(found[job][1] for found in in_two for job in jobs)
    assert student < sent < teacher / 2


@pytest.mark.parametrize('loss', LOSSES)
@pytest.mark.parametrize('kind', [OptimWrapper, CpuAmpOptimWrapper])
def test_accumulation(config, loss, kind):
    """Also in bf16: the weights move with every second batch, by a finite step."""
    distiller = make(config, loss)
    wrapper = kind(torch.optim.SGD(distiller.parameters(), 0.01), accumulative_counts=2)
    wrapper.initialize_count_status(distiller, 0, 4)
    weight = distiller.student.decode_head.conv_seg.weight
    moved = []
    for number in range(4):
        before = weight.detach().clone()
        torch.manual_seed(number)
        log = distiller.train_step(random_batch(), wrapper)
        assert all(torch.isfinite(value).all() for value in log.values())
        moved.append(not torch.equal(weight, before))
    assert moved == [False, True, False, True]
    assert all(torch.isfinite(p).all() for p in distiller.parameters())


def test_bf16_is_close(config):
    """The student's forward pass alone is rounded; the loss is as in float32."""
    batch = random_batch()
    logs = []
    for kind in (OptimWrapper, CpuAmpOptimWrapper):
        distiller = make(config, 'bdd-ls')
        wrapper = kind(torch.optim.SGD(distiller.parameters(), 0.01))
        logs.append(distiller.train_step(copy.deepcopy(batch), wrapper))
    assert distiller.recorded['student.decode_head.conv_seg'].dtype == torch.bfloat16
    for name, value in logs[0].items():
        torch.testing.assert_close(logs[1][name], value, rtol=0.05, atol=0.01)
        assert logs[1][name].dtype == torch.float32
