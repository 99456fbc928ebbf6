import pytest
from mmengine.config import Config
from torch import nn

from mmkd.analysis.cost import count_flops, input_size, student_cost, teacher_cost
from tests.conftest import network


class OneConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, bias=False, device='meta')

    def forward(self, inputs, mode):
        assert mode == 'tensor'
        return self.conv(inputs)


def test_flops_of_a_convolution():
    assert count_flops(OneConvolution(), (5, 7)) == 2 * (3 * 3 * 3) * 8 * (5 * 7)


def distillation(**teacher):
    teacher = dict(checkpoint='absent.pth', **teacher)
    return Config(dict(model=network(width=8), teacher=teacher))


def test_student_and_teacher():
    config = distillation(model=network(width=16))
    student, teacher = student_cost(config), teacher_cost(config)
    assert student == student_cost(Config(dict(model=network(width=8))))
    assert student.size == (32, 32)
    # Nearly all is in convolutions from width to width.
    assert 3.5 < teacher.parameters / student.parameters < 4
    assert 3.5 < teacher.flops / student.flops < 4


def test_named_teacher():
    teacher = dict(model=network(width=16), checkpoint='absent.pth')
    config = Config(dict(model=network(width=8), teacher=dict(fine=teacher)))
    alone = teacher_cost(distillation(model=network(width=16)))
    assert teacher_cost(config, 'teacher.fine') == alone


def test_teacher_whose_config_is_gone():
    assert teacher_cost(distillation(config='absent.py')) is None


@pytest.mark.parametrize(
    ('pipeline', 'size'),
    [
        ([dict(type='RandomResizedCrop', scale=224)], (224, 224)),
        ([dict(type='Resize', scale=(64, 48)), dict(type='Pack')], (48, 64)),
        ([dict(type='RandomCrop', crop_size=32, padding=4)], (32, 32)),
        ([dict(type='RandomAffine', scale=(0.9, 1.1))], None),
        ([], None),
    ],
)
def test_size_of_a_classifiers_images(pipeline, size):
    config = Config(dict(train_dataloader=dict(dataset=dict(pipeline=pipeline))))
    assert input_size(dict(type='ImageClassifier'), config) == size
