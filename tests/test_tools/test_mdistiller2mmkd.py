import os
import runpy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.apis import init_model
from mmpretrain.datasets import CIFAR100

from mmkd.distillation.teacher import Teacher
from mmkd.errors import UserError
from tests.mdistiller import NETWORKS, run
from tests.test_tools.conftest import CONFIGS, TOOLS

TOOL = 'model_converters/mdistiller2mmkd.py'
NETS = CONFIGS / 'cifar100'
RECIPE = '_1xb64-240e_cifar100.py'
convert = runpy.run_path(str(TOOLS / TOOL))['convert']


@pytest.fixture(scope='module')
def images():
    colors = torch.tensor([(-1.0, 0.0, 2.0), (1.0, 1.0, -1.0), (0.0, 0.0, 0.0)])
    noise = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return noise + colors[:, :, None, None]


def save(path, state, **extra):
    torch.save({'epoch': 240, 'model': state, **extra}, path)
    return str(path)


def test_every_network_of_the_configs_is_tested():
    assert sorted(NETWORKS) == sorted(
        path.name.removesuffix(RECIPE) for path in NETS.glob('*.py')
    )


@pytest.mark.parametrize('network', NETWORKS)
def test_converted(network, images, tmp_path):
    """Holds every weight, each in its place: the network gives what mdistiller's does.

    MMPretrain reads the file, its config and the classes as of its own.
    """
    expected, state = run(network, images)
    source = save(tmp_path / 'a.pth', state, accuracy=torch.tensor([72.0]))
    convert(source, tmp_path / 'b.pth', network)

    saved = torch.load(tmp_path / 'b.pth', weights_only=True)['state_dict']
    assert len(saved) == len(state)
    assert sum(map(torch.numel, saved.values())) == sum(
        map(torch.numel, state.values())
    )
    config = Config.fromfile(NETS / f'{network}{RECIPE}')
    config.default_scope = 'mmpretrain'
    config.test_dataloader = dict(dataset=dict(pipeline=[]))
    model = init_model(config, str(tmp_path / 'b.pth'), device='cpu')
    with torch.no_grad():
        logits = model(images)
    # By what the images differ in, which is less than the logits themselves.
    spread = expected.std(0).mean()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3 * spread)
    assert model._dataset_meta['classes'] == CIFAR100.METAINFO['classes']


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_old_and_parallel_checkpoints(prefix, images, tmp_path):
    """Names as in PyTorch before 0.4.1, or with several GPUs."""
    expected, state = run('wrn_16_2', images)
    state = {
        prefix + key: value
        for key, value in state.items()
        if not key.endswith('num_batches_tracked')
    }
    path = tmp_path / 'a.pth'
    torch.save({'model': state}, path, _use_new_zipfile_serialization=False)
    convert(str(path), tmp_path / 'b.pth', 'wrn_16_2')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = Config.fromfile(NETS / f'wrn_16_2{RECIPE}').model
        teacher = Teacher(
            dict(model=model, checkpoint=str(tmp_path / 'b.pth')), torch.nn.Identity()
        )
    torch.testing.assert_close(teacher.model(images), expected, rtol=1e-3, atol=1e-3)
    assert len(teacher.classes) == 100


@pytest.mark.parametrize('given', NETWORKS)
def test_of_another_network(given, images, tmp_path):
    """Whichever other network is asked for, nothing is written."""
    names = list(NETWORKS)
    asked = names[names.index(given) - 1]
    source = save(tmp_path / 'a.pth', run(given, images)[1])
    with pytest.raises(UserError, match=f'^--network {asked}: .* not match') as info:
        convert(source, tmp_path / 'b.pth', asked)
    assert '\n' not in str(info.value)
    assert not (tmp_path / 'b.pth').exists()


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        (lambda state: state.pop('layer1.0.conv1.weight'), '1 missing (backbone.layer'),
        (lambda state: state.update(new=torch.ones(1)), '1 unexpected (backbone.new)'),
        (
            lambda state: state.update({'fc.bias': torch.ones(10)}),
            '1 of another shape (head.fc.bias (10,) for (100,)); '
            'was it trained on other classes?',
        ),
    ],
)
def test_almost(change, expected, images, tmp_path):
    _, state = run('resnet8x4', images)
    change(state)
    with pytest.raises(UserError) as info:
        convert(save(tmp_path / 'a.pth', state), tmp_path / 'b.pth', 'resnet8x4')
    assert expected in str(info.value)


class Code:
    """Unpickling it makes a folder."""

    def __reduce__(self):
        return os.mkdir, ('made_by_untrusted_file',)


class TestTool:
    def test_converts(self, bench, images):
        path = save(bench.folder / 'resnet20.pth', run('resnet20', images)[1])
        arguments = (path, 'new/resnet20.pth', '--network', 'resnet20')
        assert 'contains a resnet20' in bench.run(TOOL, *arguments).output
        assert (bench.folder / 'new/resnet20.pth').is_file()

    def test_refuses_code(self, bench, images):
        _, state = run('resnet20', images)
        path = save(bench.folder / 'code.pth', state, opt=Code())
        arguments = (path, 'refused.pth', '--network', 'resnet20')
        output = bench.run(TOOL, *arguments, code=1).output
        assert 'Traceback' not in output
        assert output.strip().startswith(f"error: checkpoint: '{path}' is refused")
        assert not (bench.folder / 'refused.pth').exists()
        assert not (bench.folder / 'made_by_untrusted_file').exists()

    def test_unknown_network(self, bench):
        arguments = ('a.pth', 'b.pth', '--network', 'resnet21')
        assert "'resnet21'" in bench.run(TOOL, *arguments, code=2).output
