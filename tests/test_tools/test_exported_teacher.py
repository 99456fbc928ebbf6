"""Trainings with a teacher that is a program in a file."""

import pytest
import torch
from torch import nn

from tests.test_models.programs import export

CONFIG = """
_base_ = 'kd.py'
teacher = dict(
    _delete_=True,
    model=dict(type='mmkd.TorchSegmentor', mean=[0.5] * 3, std=[0.25] * 3),
    checkpoint='{path}',
)
"""


class Small(nn.Sequential):
    """Small network for the 11 classes of CamVid."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 7, 8, 3), nn.ReLU(), nn.Conv2d(8, 11, 1))
        self.weight = self[0].weight


def write_pt2(path, net):
    export(path, net, (2, 3, 64, 64), dynamic=(0, 2, 3))


def write_onnx(path, net):
    axes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    shapes = dict(input=axes)
    image = torch.rand(2, 3, 64, 64)
    torch.onnx.export(net, (image,), path, dynamo=True, dynamic_shapes=shapes)


@pytest.mark.parametrize('suffix', ['pt2', 'onnx'])
def test_trains(bench, kd, suffix, tmp_path):
    """The checkpoint is the student's; the teacher has a metric."""
    torch.manual_seed(0)
    net = Small().eval()
    path = tmp_path / f'a.{suffix}'
    dict(pt2=write_pt2, onnx=write_onnx)[suffix](path, net)
    bench.write(f'{suffix}.py', CONFIG.format(path=path))
    folder = tmp_path / 'work'
    result = bench.run('train.py', f'{suffix}.py', '--work-dir', str(folder), '--amp')
    assert result.iterations() == [1, 2, 3, 4]
    name = 'distill.loss_kd'
    losses = [log[name] for log in bench.scalars(folder) if name in log]
    assert min(losses) > 0
    assert any('teacher/mIoU' in log for log in bench.scalars(folder))
    state = torch.load(folder / 'iter_4.pth', weights_only=False)['state_dict']
    parts = {key.partition('.')[0] for key in state}
    assert parts == {'backbone', 'decode_head', 'auxiliary_head'}
