"""Files that contain a program, and networks to export."""

import io
import json
import zipfile

import torch
from torch import nn


class Net(nn.Module):
    """Logits of 4 classes at half the resolution, and every kind of constant."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.weight = nn.Parameter(torch.eye(4) + 0.1)
        self.tied = self.weight
        self.register_buffer('scale', torch.full((1,), 2.0), persistent=False)
        self.factor = torch.tensor([3.0])

    def forward(self, images):
        logits = self.norm(self.conv(images)) * self.scale * self.factor
        logits = torch.einsum('nchw,cd->ndhw', logits, self.tied) + torch.tensor(0.5)
        first, second = logits.split(2, 1)
        return torch.cat([second, first.clone().relu_()], 1)


class Nested(Net):
    """Returns dicts, lists, tuples and sizes; runs blocks without gradients."""

    def forward(self, images):
        logits = super().forward(images)
        with torch.no_grad():
            best = logits.topk(2, 1)[0]
        with torch.autocast('cpu', enabled=False):
            squares = logits.float() @ torch.ones(logits.shape[-1], logits.shape[-2])
        return dict(out=logits, aux=[best, (squares, logits.shape[2])], none=None)


def network(kind=Net):
    torch.manual_seed(0)
    net = kind().eval()
    nn.init.normal_(net.norm.running_mean)
    return net


def export(path, net=None, size=(2, 3, 8, 12), dynamic=()):
    """Writes a .pt2 file; ``dynamic`` axes take any size."""
    net = net or network()
    images = torch.rand(size, dtype=net.weight.dtype)
    axes = dict.fromkeys(dynamic, torch.export.Dim.DYNAMIC)
    shapes = (axes,) if axes else None
    program = torch.export.export(net, (images,), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return net


def rewrite(path, change):
    """Replaces parts of an archive by ``change(name, content)``, or removes them."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            if (content := change(name, content)) is not None:
                archive.writestr(name, content)


def edit(path, change, name='models/model.json'):
    """Changes a JSON part of an archive."""

    def apply(part, content):
        if not part.endswith(name):
            return content
        parsed = json.loads(content)
        change(parsed)
        return json.dumps(parsed).encode()

    rewrite(path, apply)


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def add_node(path, target, *arguments):
    """Adds a first operator to a .pt2 file."""
    kinds = {str: 'as_string', int: 'as_int', bool: 'as_bool'}
    inputs = [
        dict(name=name, arg={kinds[type(value)]: value}, kind=1)
        for name, value in arguments
    ]
    node = dict(target=target, inputs=inputs, outputs=[], metadata={})
    edit(path, lambda program: nodes(program).insert(0, node))


def nodes(program):
    return program['graph_module']['graph']['nodes']


def write_onnx(path, shape=('n', 3, 'h', 'w'), dtype='FLOAT', outputs=('out',)):
    """Writes an ONNX graph whose outputs are the image times 2, and its weights."""
    from onnx import TensorProto, helper

    kind = getattr(TensorProto, dtype)
    two = helper.make_tensor('two', TensorProto.FLOAT, [1], [2.0])
    nodes = [helper.make_node('Cast', ['images'], ['cast'], to=TensorProto.FLOAT)]
    nodes += [helper.make_node('Mul', ['cast', 'two'], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes,
        'graph',
        [helper.make_tensor_value_info('images', kind, shape)],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in outputs],
        [two],
    )
    opset = [helper.make_opsetid('', 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    path.write_bytes(model.SerializeToString())
    return model
