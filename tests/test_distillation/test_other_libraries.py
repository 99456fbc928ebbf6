"""Teachers and students of other libraries, trained and saved by their own means."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS, DefaultScope
from mmseg.apis import inference_model, init_model
from torch.nn.functional import cross_entropy, interpolate

from mmkd.checkpoint import load_weights
from mmkd.datasets import CamVidDataset
from mmkd.errors import UserError
from mmkd.models.import_module import build_module, import_object
from tests.test_models.torch_networks import MAPS, Plain
from tests.test_tools.conftest import BASE, NETWORK, write_camvid

CLASSES = len(CamVidDataset.METAINFO['classes'])
IMAGENET = dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
LOSS = dict(loss_kd=dict(type='KDLoss'))


def with_classes(name):
    """A small network of another library with CamVid's classes."""
    module, output = copy.deepcopy(MAPS[name])
    if 'config' in module:
        module['config']['num_labels'] = CLASSES
    else:
        module['num_classes' if 'num_classes' in module else 'classes'] = CLASSES
    return module, output


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('camvid')
    write_camvid(folder)
    return folder


@pytest.fixture
def config(data, tmp_path):
    """A quarter-width PSPNet-R18 on small images, for four iterations."""
    path = tmp_path / 'student.py'
    path.write_text(NETWORK.format(base=BASE, data=data, width=8))
    found = Config.fromfile(path)
    found.work_dir = str(tmp_path / 'work')
    found.launcher = 'none'
    found.experiment_name = tmp_path.name
    return found


def distill(config, teacher, **changes):
    config.runner_type = 'mmkd.DistillRunner'
    config.teacher = teacher
    config.distill_losses = LOSS
    config.merge_from_dict(changes)
    return run(config)


def run(config):
    with DefaultScope.overwrite_default_scope('mmseg'):
        runner = RUNNERS.build(config)
        runner.train()
    return runner


def loop(module, output, data, steps=20):
    """Train a network as its own library's users do."""
    torch.manual_seed(0)
    network = build_module(module, 'model.module')
    dataset = CamVidDataset(
        data_root=str(data),
        data_prefix=dict(img_path='train', seg_map_path='trainannot'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
    )
    mean, std = (torch.tensor(IMAGENET[key]).view(3, 1, 1) for key in ('mean', 'std'))
    samples = [dataset[index] for index in range(len(dataset))]
    images = [(s['inputs'].flip(0) / 255 - mean) / std for s in samples]
    labels = [s['data_samples'].gt_sem_seg.data[0].long() for s in samples]
    images, labels = (torch.stack(parts)[..., :64, :64] for parts in (images, labels))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for step in range(steps):
        batch = [step % 3, 3 + step % 3]
        outputs = network(images[batch])
        logits = outputs if output is None else outputs[output]
        logits = interpolate(logits, size=(64, 64), mode='bilinear')
        loss = cross_entropy(logits, labels[batch], ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    return network.eval()


@pytest.mark.parametrize(
    'name',
    [
        'SegFormer',
        pytest.param('DeepLabV3', marks=pytest.mark.slow),
        pytest.param('Unet', marks=pytest.mark.slow),
    ],
)
def test_teacher(name, data, config, tmp_path):
    """Trained and saved with its own library, it teaches a PSPNet."""
    module, output = with_classes(name)
    for package in ('transformers', 'torchvision', 'segmentation_models_pytorch'):
        if package in module['type']:
            pytest.importorskip(package)
    network = loop(module, output, data)
    path = tmp_path / 'own'
    if hasattr(network, 'save_pretrained'):
        network.save_pretrained(path)
    else:
        torch.save(network.state_dict(), path)
    model = dict(type='mmkd.TorchSegmentor', module=module, output=output, **IMAGENET)
    model['data_preprocessor'] = dict(test_cfg=dict(size_divisor=32))
    runner = distill(
        config,
        dict(model=model, checkpoint=str(path)),
        **{'train_cfg.max_iters': 20, 'train_cfg.val_interval': 20},
    )
    history = runner.message_hub.get_scalar('train/distill.loss_kd')
    assert history.data[0].shape == (20,)
    assert (history.data[0] > 0).all()
    assert runner.message_hub.get_info('teacher_metrics')['teacher/mIoU'] > 0
    assert 'the same class at 100.00 %' in log_of(config)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        outputs = network(images)
        expected = outputs if output is None else outputs[output]
        found = runner.teacher.model(images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def log_of(config):
    (path,) = Path(config.work_dir).glob('*/*.log')
    return path.read_text()


@pytest.mark.parametrize('name', ['SegFormer', 'Unet'])
def test_student(name, data, config, tmp_path):
    """Its checkpoints load in its own library, in mmseg, and resume."""
    module, output = with_classes(name)
    pytest.importorskip(module['type'].partition('.')[0])
    torch.manual_seed(7)
    teacher = Plain(CLASSES)
    torch.save(teacher.state_dict(), tmp_path / 'plain.pth')
    plain = dict(type=f'{Plain.__module__}.Plain', outputs=CLASSES)
    model = dict(type='mmkd.TorchSegmentor', module=plain)
    size = config.model.data_preprocessor.size
    config.model = dict(
        type='mmkd.TorchSegmentor',
        module=module,
        output=output,
        **IMAGENET,
        data_preprocessor=dict(size=size, test_cfg=dict(size_divisor=32)),
    )
    config.custom_hooks = [dict(type='EMAHook')]
    config.optim_wrapper = dict(
        type='mmkd.CpuAmpOptimWrapper',
        optimizer=dict(type='AdamW', lr=0.001),
        paramwise_cfg=dict(custom_keys={'encoder': dict(lr_mult=0.1)}),
    )
    distill(
        config,
        dict(model=dict(model, input_range=255), checkpoint=f'{tmp_path}/plain.pth'),
    )
    path = str(tmp_path / 'work' / 'iter_4.pth')
    state, meta = load_weights(path, 'checkpoint')
    assert meta['dataset_meta']['classes'] == CamVidDataset.METAINFO['classes']
    build_module(module, 'model.module').load_state_dict(state, strict=True)
    network = init_model(config, path, device='cpu')
    image = next(data.glob('val/*.png'))
    assert inference_model(network, str(image)).pred_sem_seg.data.shape == (1, 64, 96)

    config.resume = True
    config.train_cfg.max_iters = 5
    assert run(config).iter == 5


def test_classes_of_the_teacher(config, tmp_path):
    """Are compared with the dataset's, if its config names them."""
    module = dict(type=f'{Plain.__module__}.Plain', outputs=CLASSES)
    torch.save(Plain(CLASSES).state_dict(), tmp_path / 'plain.pth')
    names = ['other', *CamVidDataset.METAINFO['classes'][1:]]
    model = dict(type='mmkd.TorchSegmentor', module=module, input_range=1)
    teacher = dict(model=dict(model, classes=names), checkpoint=f'{tmp_path}/plain.pth')
    with pytest.raises(UserError, match=r'^teacher\.'):
        distill(config, teacher)


@pytest.mark.parametrize(
    ('changes', 'error'),
    [
        (dict(output='logits'), "model.output: 'logits' is not in the outputs"),
        (dict(input_range=None), 'model.mean: the normalization of the images'),
        (dict(module=dict(type='absent.Net')), "model.module.type: 'absent.Net' can"),
        (dict(module=dict(type='os.getcwd')), "model.module.type: 'os.getcwd' is ref"),
        (dict(module=dict(type=f'{__name__}.Depth')), 'model.output: the network ret'),
    ],
)
def test_invalid_teacher(changes, error, config, tmp_path):
    module = dict(type=f'{Plain.__module__}.Plain', outputs=CLASSES)
    torch.save(Plain(CLASSES).state_dict(), tmp_path / 'plain.pth')
    model = dict(type='mmkd.TorchSegmentor', module=module, input_range=1)
    teacher = dict(model={**model, **changes}, checkpoint=f'{tmp_path}/plain.pth')
    with pytest.raises(UserError) as raised:
        distill(config, teacher)
    assert str(raised.value).startswith(f'teacher.{error}')
    assert '\n' not in str(raised.value)


class Fixed(Plain):
    """Accepts one size, of which its config says nothing."""

    def forward(self, images):
        if images.shape[2:] != (100, 100):
            raise ValueError('not of size 100')
        return super().forward(images)


def test_unknown_number_of_classes(config, tmp_path):
    """It is not taken for the student's, which a class map would contradict."""
    outputs = CLASSES + 1
    torch.save(Plain(outputs).state_dict(), tmp_path / 'plain.pth')
    module = dict(type=f'{__name__}.Fixed', outputs=outputs)
    model = dict(type='mmkd.TorchSegmentor', module=module, input_range=1)
    teacher = dict(
        model=model,
        checkpoint=f'{tmp_path}/plain.pth',
        size=(100, 100),
        class_map={index: index + 1 for index in range(CLASSES)},
    )
    with pytest.raises(UserError, match='not of size 100'):
        distill(config, teacher)
    model['classes'] = [f'output {index}' for index in range(outputs)]
    runner = distill(config, teacher)
    assert runner.teacher.class_map.unused == (0,)


class Depth(Plain):
    """A depth estimator with the layers of :class:`Plain`."""

    def __init__(self):
        super().__init__(CLASSES)

    def forward(self, images):
        return super().forward(images)[:, 0]


VOID = """_base_ = 'student.py'
runner_type = 'mmkd.DistillRunner'
teacher = dict(
    model=dict(
        type='mmkd.TorchSegmentor',
        module=dict(type='my_twelve.Net', classes=12),
        mean=[0.41, 0.42, 0.40],
        std=[0.30, 0.31, 0.32],
        channel_order='bgr'),
    {classes},
    checkpoint='{checkpoint}')
distill_losses = dict(loss_kd=dict(type='KDLoss'))
"""
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, classes):
        layers = [nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU()]
        super().__init__(*layers, nn.Conv2d(8, classes, 1))
"""


def test_network_of_ones_own(config, tmp_path, monkeypatch):
    """With twelve outputs, of which the last is void, in twelve lines of config."""
    (tmp_path / 'my_twelve.py').write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [*sys.path, str(tmp_path)])
    torch.manual_seed(0)
    net = import_object('my_twelve.Net', 'module')(12)
    torch.save(net.state_dict(), 'net.pth')
    text = VOID.format(
        classes='class_map={i: i for i in range(11)}', checkpoint='net.pth'
    )
    assert len(text.splitlines()) == 12
    (tmp_path / 'void.py').write_text(text)
    ours = Config.fromfile('void.py')
    for key in ('work_dir', 'launcher', 'experiment_name'):
        ours[key] = config[key]
    teacher = run(ours).teacher
    image = torch.rand(1, 3, 64, 64)  # RGB, 0 to 1
    mean, std = (
        torch.tensor(values).view(3, 1, 1)
        for values in ((0.41, 0.42, 0.40), (0.30, 0.31, 0.32))
    )
    with torch.no_grad():
        expected = net.eval()((image.flip(1) - mean) / std)
        rgb = config.model.data_preprocessor
        seen = (255 * image - torch.tensor(rgb.mean).view(3, 1, 1)) / torch.tensor(
            rgb.std
        ).view(3, 1, 1)
        found = teacher.outputs(seen, ['decode_head'])['decode_head']
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
