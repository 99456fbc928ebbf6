import json

import pytest
import torch
from PIL import Image
from torch import nn
from torch.torch_version import TorchVersion

from mmkd.deployment import onnx_export
from mmkd.deployment.network import Deployable
from mmkd.deployment.onnx_parity import measure_parity
from mmkd.errors import UserError

from .networks import blocks, segmentor

exports = pytest.mark.skipif(
    torch.__version__ < onnx_export.EXPORTER, reason='refused before'
)


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp('images')
    for index, image in enumerate(blocks(3, (96, 144))):
        Image.fromarray(image.numpy()).save(folder / f'{index}.png')
    return sorted(folder.iterdir())


@pytest.fixture(scope='module')
def network():
    return segmentor(align_corners=True)


@pytest.fixture(scope='module')
def graph(network):
    """Export for any size; mmseg's resize with aligned corners would fix it."""
    return onnx_export.export_onnx(Deployable(network), (64, 96), dynamic=True)


@pytest.mark.parametrize('size', [(64, 96), (49, 73), (33, 40)], ids=str)
@exports
def test_dynamic_sizes_and_batches(network, graph, images, size):
    session = onnx_export.open_session(graph)
    # Three images: a batch of two and one of one.
    equal, difference = measure_parity(session, network, images, size)
    assert equal >= 0.999
    assert difference < 1e-3


@exports
def test_another_network_disagrees(graph, images):
    other = segmentor(dict(bgr_to_rgb=False), align_corners=True)
    session = onnx_export.open_session(graph)
    equal, difference = measure_parity(session, other, images, (64, 96))
    assert equal < 0.999
    assert difference > 1e-2


@exports
def test_fixed_size(images):
    network = segmentor()
    graph = onnx_export.export_onnx(Deployable(network), (50, 70), opset=18)
    assert [each.version for each in graph.opset_import if not each.domain] == [18]
    session = onnx_export.open_session(graph)
    assert session.get_inputs()[0].shape == ['batch', 50, 70, 3]
    assert measure_parity(session, network, images, (50, 70))[0] >= 0.999


@exports
def test_labels_alone_and_names_of_classes(graph):
    onnx_export.note_classes(graph, dict(dataset_meta=dict(classes=('a', 'b'), x=1)))
    session = onnx_export.open_session(onnx_export.without_logits(graph))
    assert [output.name for output in session.get_outputs()] == ['labels']
    assert [output.name for output in graph.graph.output] == ['labels', 'logits']
    notes = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(text) for name, text in notes.items()} == {
        'classes': ['a', 'b']
    }


@exports
def test_graph_has_no_source_paths(graph):
    assert b'.py' not in graph.SerializeToString()


def test_what_cannot_be_exported_is_named(network):
    deployable = Deployable(network)
    deployable.network.decode_head.bottleneck.activate = Undecided()
    with pytest.raises(UserError, match=r'^--out: the network cannot be exported \('):
        onnx_export.export_onnx(deployable, (64, 96))


class Undecided(nn.Module):
    def forward(self, x):
        return x if torch.any(x > 0) else -x


@exports
def test_missing_extra():
    onnx_export.check_extra()
    with pytest.raises(UserError, match=r"^no_such_package: .*'mmkd\[deploy\]'$"):
        onnx_export.check_extra(('onnx', 'no_such_package'))


def test_older_pytorch(monkeypatch):
    monkeypatch.setattr(torch, '__version__', TorchVersion('2.8.1'))
    with pytest.raises(UserError, match=r'PyTorch 2.9 or newer, not 2.8.1'):
        onnx_export.check_extra()
