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


def test_record_gives_the_output_and_leaves_no_hook():
    net = Net(conv_seg())
    with record(net, ['backbone', 'decode_head.conv_seg']) as outputs:
        result = net(torch.zeros(1, 2))
    assert outputs['decode_head.conv_seg'] is result
    assert outputs['backbone'].shape == (1, 3)
    assert not any(module._forward_hooks for module in net.modules())


def test_record_keeps_the_graph():
    net = Net(conv_seg())
    with record(net, ['backbone']) as outputs:
        net(torch.zeros(1, 2))
    outputs['backbone'].sum().backward()
    assert net.backbone.bias.grad is not None


def test_hooks_go_when_the_forward_fails():
    net = Net(conv_seg())
    with pytest.raises(RuntimeError), record(net, ['backbone']):
        net(torch.zeros(1, 5))
    assert not net.backbone._forward_hooks


def test_a_module_that_did_not_run():
    net = Net(conv_seg())
    with record(net, ['backbone']) as outputs:
        pass
    with pytest.raises(UserError, match="'backbone' was not run"):
        outputs['backbone']


def test_an_output_that_is_no_tensor():
    net = nn.Sequential(nn.LSTM(2, 3))
    with pytest.raises(UserError, match="'0' outputs a tuple"), record(net, ['0']):
        net(torch.zeros(1, 1, 2))


def test_usual_taps():
    assert find_tap(Net(conv_seg()), None, 'key') == 'decode_head.conv_seg'
    cascade = Net(nn.ModuleList([conv_seg(), conv_seg()]))
    assert find_tap(cascade, None, 'key') == 'decode_head.1.conv_seg'
    classifier = nn.Sequential(dict_of(head=nn.Sequential(dict_of(fc=nn.Linear(3, 4)))))
    assert find_tap(classifier, None, 'key') == 'head.fc'


def test_no_usual_tap():
    with pytest.raises(UserError, match=r'key: .*decode_head\.conv_seg.*head\.fc'):
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
