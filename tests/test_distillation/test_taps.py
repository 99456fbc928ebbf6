import pytest
import torch
from torch import nn

from mmkd.distillation.taps import find_tap, num_outputs, record
from mmkd.errors import UserError


class Net(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.backbone = nn.Linear(2, 3)
        self.decode_head = head

    def forward(self, inputs):
        return self.decode_head(self.backbone(inputs))


def conv_seg(width=4):
    return nn.Sequential(dict_of(conv_seg=nn.Linear(3, width)))


def dict_of(**modules):
    from collections import OrderedDict

    return OrderedDict(modules)


def test_record_gives_the_output_and_leaves_no_trace():
    net = Net(conv_seg())
    before = [set(vars(module)) for module in net.modules()]
    with record(net, ['backbone', 'decode_head.conv_seg']) as outputs:
        result = net(torch.zeros(1, 2))
    assert outputs['decode_head.conv_seg'] is result
    assert outputs['backbone'].shape == (1, 3)
    assert [set(vars(module)) for module in net.modules()] == before


def test_record_keeps_the_graph():
    net = Net(conv_seg())
    with record(net, ['backbone']) as outputs:
        net(torch.zeros(1, 2))
    outputs['backbone'].sum().backward()
    assert net.backbone.bias.grad is not None


def test_nothing_remains_when_the_forward_fails():
    net = Net(conv_seg())
    with pytest.raises(RuntimeError), record(net, ['backbone']):
        net(torch.zeros(1, 5))
    assert 'forward' not in vars(net.backbone)


def test_records_what_is_called_past_the_hooks():
    """As mmseg calls its heads."""
    net = Net(conv_seg())
    with record(net, ['decode_head']) as outputs:
        result = net.decode_head.forward(torch.zeros(1, 3))
    assert outputs['decode_head'] is result


def test_keeps_a_forward_of_the_module_itself():
    net = Net(conv_seg())
    own = net.backbone.forward = lambda inputs: torch.ones(1, 3)
    with record(net, ['backbone']) as outputs:
        net(torch.zeros(1, 2))
    assert torch.equal(outputs['backbone'], torch.ones(1, 3))
    assert net.backbone.forward is own


def test_two_names_of_one_module():
    net = Net(conv_seg())
    net.other = net.backbone
    with record(net, ['backbone', 'other']) as outputs:
        net(torch.zeros(1, 2))
    assert outputs['backbone'] is outputs['other']
    assert 'forward' not in vars(net.backbone)


def test_the_last_run_counts():
    net = Net(conv_seg())
    with record(net, ['backbone']) as outputs:
        net.backbone(torch.zeros(1, 2))
        last = net.backbone(torch.ones(1, 2))
    assert outputs['backbone'] is last


@pytest.mark.parametrize('tap', ['backbone', 'backbone.1'])
def test_compiled_module(tap):
    """Recorded in each iteration, and compiled once."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    net = Net(conv_seg())
    net.backbone = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    net.backbone.compile(backend='eager')
    for _ in range(10):
        images = torch.randn(1, 2)
        with record(net, [tap]) as outputs:
            net(images)
        assert torch.equal(outputs[tap], net.backbone[1](images.relu()))
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == 1


def test_a_module_that_did_not_run():
    net = Net(conv_seg())
    with record(net, ['backbone']) as outputs:
        pass
    with pytest.raises(UserError, match="'backbone' was not run"):
        outputs['backbone']


def test_an_output_without_logits():
    net = nn.Sequential(nn.LSTM(2, 3))
    with pytest.raises(UserError, match="'0' outputs a tuple"), record(net, ['0']):
        net(torch.zeros(1, 1, 2))


def cascade(*stages):
    return Net(nn.ModuleList(stages))


def classifier(**layers):
    return nn.Sequential(dict_of(head=nn.Sequential(dict_of(**layers))))


@pytest.mark.parametrize(
    ('net', 'student', 'teacher'),
    [
        (Net(conv_seg()), 'decode_head.conv_seg', 'decode_head.conv_seg'),
        (Net(nn.ReLU()), 'decode_head', 'decode_head'),
        (cascade(conv_seg(), conv_seg()), *['decode_head.1.conv_seg'] * 2),
        (cascade(conv_seg(), nn.ReLU()), 'decode_head.0.conv_seg', 'encode_decode'),
        (cascade(nn.ReLU(), nn.ReLU()), 'decode_head.1', 'encode_decode'),
        (classifier(fc=nn.Linear(3, 4)), 'head.fc', 'head.fc'),
        (classifier(layers=nn.Linear(3, 4)), 'head', 'head'),
    ],
)
def test_usual_taps(net, student, teacher):
    assert find_tap(net, None, 'key') == student
    assert find_tap(net, None, 'key', frozen=True) == teacher


def test_no_usual_tap():
    with pytest.raises(UserError, match=r'key: .*neither a decode_head nor a head'):
        find_tap(nn.Linear(2, 3), None, 'key')


@pytest.mark.parametrize(
    ('tap', 'offered'),
    [
        ('decode_head.conv_sgg', 'decode_head.conv_seg'),
        ('conv_seg', 'decode_head.conv_seg'),
        ('zzz', 'named_modules'),
    ],
)
def test_offers_the_nearest_names(tap, offered):
    with pytest.raises(UserError, match=f"key: .*'{tap}'.*{offered}"):
        find_tap(Net(conv_seg()), tap, 'key')


def test_num_outputs():
    net = Net(conv_seg(width=7))
    assert num_outputs(net, 'decode_head.conv_seg') == 7
    assert num_outputs(nn.Sequential(nn.Conv2d(2, 6, 1)), '0') == 6
    assert num_outputs(nn.Sequential(nn.ReLU()), '0') is None


@pytest.mark.parametrize('frozen', [False, True])
def test_an_output_that_a_later_module_changes_is_an_error(frozen):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.ReLU(inplace=True))
    images = torch.randn(4, 2)
    with torch.set_grad_enabled(not frozen):
        with record(net, ['0', '2']) as outputs:  # ReLU's own output is unchanged
            result = net(images)
        assert outputs['2'] is result
        changed = pytest.raises(UserError, match=r"the tap '1': a later module .* '1'")
        with changed, record(net, ['1']):
            net(images)
    assert all('forward' not in vars(module) for module in net)
