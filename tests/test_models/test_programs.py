import copy
import json
import os
import pickle
import shutil
import sys
import zipfile
from contextlib import suppress
from importlib import util

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from mmkd.errors import UserError
from mmkd.models.programs import load_program
from mmkd.models.programs.graph import BLOCKS
from mmkd.models.programs.operators import (
    ALLOWED_NUMBERS,
    ALLOWED_TENSORS,
    find_operator,
)

from .programs import (
    Nested,
    add_node,
    edit,
    export,
    network,
    nodes,
    rewrite,
    saved,
    write_onnx,
)

pytestmark = pytest.mark.filterwarnings('ignore')  # of TorchScript itself
SWITCH = 'set teacher.allow_code=True'


def error_of(path, *args, **kwargs):
    with pytest.raises(UserError) as raised:
        load_program(str(path), *args, **kwargs)
    error = str(raised.value)
    assert error.startswith(f"teacher.checkpoint: '{path}' ")
    assert '\n' not in error
    return error


def error_for(program, images):
    with pytest.raises(UserError) as raised:
        program(images)
    assert '\n' not in str(raised.value)
    return str(raised.value)


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A .pt2 file of two images of 8 x 12, and its network."""
    path = tmp_path_factory.mktemp('exported') / 'a.pt2'
    return path, export(path)


@pytest.fixture
def path(exported, tmp_path):
    """A copy of that file."""
    return shutil.copy(exported[0], tmp_path / 'a.pt2')


class TestExported:
    @pytest.mark.parametrize('count', [1, 2, 5])
    def test_fixed_sizes(self, exported, count):
        """A batch is split, and filled, if the program has a size of its own."""
        path, net = exported
        images = torch.rand(count, 3, 8, 12)
        with torch.no_grad():
            torch.testing.assert_close(load_program(str(path))(images), net(images))

    @pytest.mark.parametrize('size', [(1, 3, 8, 8), (3, 3, 14, 10)])
    def test_any_sizes(self, tmp_path, size):
        net = export(tmp_path / 'a.pt2', dynamic=(0, 2, 3))
        images = torch.rand(size)
        with torch.no_grad():
            found = load_program(str(tmp_path / 'a.pt2'))(images)
            torch.testing.assert_close(found, net(images))

    def test_outputs_as_the_network_returned_them(self, tmp_path):
        net = export(tmp_path / 'a.pt2', network(Nested), (2, 3, 16, 16), (0,))
        images = torch.rand(3, 3, 16, 16)
        with torch.no_grad():
            found = load_program(str(tmp_path / 'a.pt2'))(images)
            expected = net(images)
        assert list(found) == ['out', 'aux', 'none']
        assert found['none'] is None
        assert found['aux'][1][1] == 8
        assert len(tree_leaves(dict(found))) == len(tree_leaves(expected)) == 5
        for a, b in zip(tree_leaves(dict(found)), tree_leaves(expected), strict=True):
            if isinstance(a, torch.Tensor):
                torch.testing.assert_close(a, b)

    @pytest.mark.parametrize('layout', ['2.6', '2.8'])
    def test_files_of_older_versions(self, path, exported, layout):
        """They hold pickled weights, which are loaded as weights only."""
        net = exported[1]
        weights = dict(net.state_dict(), tied=net.tied)
        constants = dict(
            scale=net.scale, factor=net.factor, lifted_tensor_0=torch.tensor(0.5)
        )
        names = {
            'models/model.json': 'serialized_exported_program.json',
            'weights/model.pt': 'serialized_state_dict.pt',
            'constants/model.pt': 'serialized_constants.pt',
        }
        with zipfile.ZipFile(path) as archive:
            program = archive.read('a/models/model.json')
        with zipfile.ZipFile(path, 'w') as archive:
            for (new, old), content in zip(
                names.items(),
                (program, saved(weights), saved(constants)),
                strict=True,
            ):
                folder = 'a/' if 'models' in new else 'a/data/'
                archive.writestr(old if layout == '2.6' else folder + new, content)
        images = torch.rand(2, 3, 8, 12)
        with torch.no_grad():
            torch.testing.assert_close(load_program(str(path))(images), net(images))

    def test_other_image_size(self, exported):
        program = load_program(str(exported[0]))
        error = error_for(program, torch.rand(1, 3, 16, 16))
        assert 'takes images of 8 x 12 pixels (height x width), not 16 x 16' in error
        assert 'set teacher.size=(8, 12)' in error
        error = error_for(program, torch.rand(1, 4, 8, 12))
        assert 'takes images with 3 channels, not 4' in error

    @pytest.mark.parametrize('style', ["Symbol('{}', integer=True)", '{}'])
    def test_limits_of_image_sizes(self, path, style):
        """As PyTorch 2.7 or newer, and older versions, write them."""
        height, width = (style.format(name) for name in ('s0', 's1'))
        width = f'Mul(Integer(4), {width})' if '(' in style else f'4*{width}'

        def change(program):
            meta = program['graph_module']['graph']['tensor_values']['images']
            for axis, text in ((2, height), (3, width)):
                meta['sizes'][axis] = dict(as_expr=dict(expr_str=text))
            program['range_constraints'] = dict(
                s0=dict(min_val=8, max_val=10), s1=dict(min_val=2, max_val=None)
            )

        edit(path, change)
        program = load_program(str(path))
        assert program.sizes[2] == range(8, 11)
        assert program.sizes[3] == range(0, sys.maxsize, 4)
        error = error_for(program, torch.rand(1, 3, 20, 14))
        assert '8 to 10 x any (multiples of 4) pixels' in error
        assert 'set teacher.size=(10, 12)' in error

    def test_keeps_its_precision(self, exported):
        path, net = exported
        program = copy.deepcopy(load_program(str(path)))
        program.to(torch.bfloat16).to(memory_format=torch.channels_last)
        images = torch.rand(2, 3, 8, 12).to(memory_format=torch.channels_last)
        with torch.no_grad():
            torch.testing.assert_close(program(images), net(images))
        assert not program.state_dict()

    def test_half_precision(self, tmp_path):
        net = export(tmp_path / 'a.pt2', torch.nn.Conv2d(3, 2, 1).bfloat16())
        images = torch.rand(2, 3, 8, 12)
        program = load_program(str(tmp_path / 'a.pt2'))
        assert program.dtype == torch.bfloat16
        with torch.no_grad():
            assert torch.equal(program(images), net(images.bfloat16()))

    def test_on_another_device(self, tmp_path):
        """Tensors are made where the images are, not where the program was exported."""

        class Made(torch.nn.Module):
            def forward(self, images):
                rows = torch.arange(images.shape[2], dtype=images.dtype)
                return images + rows[:, None] + torch.zeros_like(images)

        program = torch.export.export(Made(), (torch.rand(2, 3, 8, 12),))
        torch.export.save(program, tmp_path / 'a.pt2')
        images = torch.rand(2, 3, 8, 12, device='meta')
        assert load_program(str(tmp_path / 'a.pt2')).to('meta')(images).is_meta

    @pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
    def test_on_a_gpu(self, exported):
        path, net = exported
        images = torch.rand(2, 3, 8, 12)
        found = load_program(str(path)).cuda()(images.cuda())
        torch.testing.assert_close(found.cpu(), net(images), rtol=1e-3, atol=1e-3)

    def test_training_mode(self, tmp_path):
        export(tmp_path / 'a.pt2', network().train())
        error = error_of(tmp_path / 'a.pt2')
        assert 'training mode' in error
        assert 'call .eval() on the network' in error

    def test_several_inputs(self, tmp_path):
        class Two(torch.nn.Module):
            def forward(self, a, b):
                return a + b

        images = torch.rand(2, 3, 8, 8)
        program = torch.export.export(Two(), (images, images))
        torch.export.save(program, tmp_path / 'a.pt2')
        error = error_of(tmp_path / 'a.pt2')
        assert 'has 2 inputs instead of one, the images' in error

    def test_not_an_image(self, tmp_path):
        program = torch.export.export(torch.nn.Linear(3, 2), (torch.rand(2, 3),))
        torch.export.save(program, tmp_path / 'a.pt2')
        assert 'an input of 2 dimensions' in error_of(tmp_path / 'a.pt2')

    def test_an_operator_fails(self, path):
        def change(program):
            node = next(n for n in nodes(program) if 'conv2d' in n['target'])
            node['inputs'][3]['arg'] = dict(as_ints=[0, 0])

        edit(path, change)
        error = error_for(load_program(str(path)), torch.rand(1, 3, 8, 12))
        assert 'fails for images of (2, 3, 8, 12)' in error
        assert 'torch.ops.aten.conv2d.default' in error


class MakeFolder:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def python(marker):
    """An expression that makes a folder."""
    return f"__import__('os').mkdir({str(marker)!r})"


def with_pickled_weights(path, marker):
    code = saved({'weight': torch.ones(2), 'code': MakeFolder(marker)})
    rewrite(path, lambda n, c: None if 'data/weights' in n else c)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('a/data/weights/model.pt', code)


def with_pickled_weight(path, marker):
    rewrite(
        path, lambda n, c: pickle.dumps(MakeFolder(marker)) if 'weight_0' in n else c
    )

    def change(config):
        for entry in config['config'].values():
            entry['use_pickle'] = True

    edit(path, change, 'model_weights_config.json')


def with_pickled_object(path, marker, kind='opaque_obj_0'):
    with zipfile.ZipFile(path, 'a') as archive:
        code = pickle.dumps(MakeFolder(marker))
        archive.writestr(f'a/data/constants/{kind}', code)
    edit(
        path,
        lambda config: config['config'].update(
            code=dict(path_name=kind, is_param=False, use_pickle=True, tensor_meta=None)
        ),
        'model_constants_config.json',
    )


def with_example(path, marker):
    rewrite(
        path,
        lambda n, c: saved(((MakeFolder(marker),), {})) if 'sample_inputs' in n else c,
    )


def with_size(path, marker):
    def change(program):
        meta = program['graph_module']['graph']['tensor_values']['images']
        meta['sizes'][2] = dict(as_expr=dict(expr_str=python(marker)))

    edit(path, change)


def with_target(path, marker):
    """PyTorch's loader resolves it by getattr from torch; the module has ``os``."""
    add_node(path, 'torch.serialization.os.mkdir', ('path', str(marker)))


def with_file(path, marker):
    add_node(
        path,
        'torch.ops.aten.from_file.default',
        ('filename', str(marker)),
        ('shared', True),
        ('size', 1),
    )


def with_guard(path, marker):
    edit(path, lambda program: program.update(guards_code=[python(marker)]))


def with_structure(path, marker):
    def change(program):
        signature = program['graph_module']['module_call_graph'][0]['signature']
        context = dict(type='os.mkdir', context=python(marker), children_spec=[])
        signature['out_spec'] = json.dumps([1, context])

    edit(path, change)


def with_library(path, marker):
    rewrite(path, lambda n, c: None if 'models/' in n else c)
    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('a/data/aotinductor/model/code.so', b'\x7fELF')


ATTACKS = {
    'pickled weights': (with_pickled_weights, 'not a complete program'),
    'pickled weight': (with_pickled_weight, 'is a pickled object'),
    'pickled object': (with_pickled_object, "'code' is a pickled object"),
    'size': (with_size, None),
    'target': (with_target, "it uses the operator 'torch.serialization.os.mkdir'"),
    'file': (with_file, "it uses the operator 'torch.ops.aten.from_file.default'"),
    'library': (with_library, 'it contains a compiled library'),
    'example': (with_example, None),
    'guard': (with_guard, None),
    'structure': (with_structure, 'not a complete program'),
}
DANGEROUS = ('pickled weight', 'size', 'example', 'pickled object')


class TestUntrusted:
    @pytest.mark.parametrize('kind', DANGEROUS)
    def test_is_dangerous(self, path, tmp_path, kind):
        """PyTorch's loader runs the code, so the tests below are meaningful."""
        marker = tmp_path / 'marker'
        ATTACKS[kind][0](path, marker)
        with suppress(Exception):
            torch.export.load(path)
        assert marker.exists()

    @pytest.mark.parametrize('kind', ATTACKS)
    def test_runs_no_code(self, path, tmp_path, kind):
        marker = tmp_path / 'marker'
        make, reason = ATTACKS[kind]
        make(path, marker)
        if reason is None:  # what is dangerous is never read
            load_program(str(path))(torch.rand(1, 3, 8, 12))
        else:
            error = error_of(path)
            assert reason in error
            assert SWITCH in error or 'export it again' in error
        assert not marker.exists()

    @pytest.mark.parametrize(
        'target',
        [
            'torch.ops.aten.save.default',
            'torch.ops.aten._print.default',
            'torch.ops.aten.set_.source_Storage',
            'torch.ops.aten.resize_.default',
            'torch.ops.profiler._record_function_enter.default',
            'torch.ops.mine.op.default',
            'torch.ops.load_library',
            'torch.ops.aten.add.__class__',
            'torch.ops.aten.add.Tensor.__class__',
            'torch.ops.aten.__class__.mro',
            'torch.ops.higher_order.cond',
            'torch.load',
            'torch.hub.load',
            '_operator.attrgetter',
            '_operator.methodcaller',
            '_operator.pow',
            'math.factorial',
            'builtins.exec',
            'os.system',
            '#custom',
            '',
        ],
    )
    def test_other_operators(self, path, target):
        add_node(path, target)
        error = error_of(path)
        assert f'it uses the operator {target!r}' in error
        assert SWITCH in error

    def test_operators_have_no_effects(self):
        """None of them is of files, strings, storages, random numbers or settings."""
        for target in ALLOWED_NUMBERS | set():
            assert callable(find_operator(target))
        words = ('file', 'save', 'load', 'print', 'warn', 'rand', 'bernoulli', 'seed')
        words += ('normal_', 'record', 'storage', 'set_', 'resize', 'from_')
        assert not [n for n in ALLOWED_TENSORS if any(w in n for w in words)]
        for name in ALLOWED_TENSORS:
            packet = getattr(torch.ops.aten, name, None)
            for overload in packet.overloads() if packet else ():
                schema = getattr(packet, overload)._schema
                types = {str(argument.type) for argument in schema.arguments}
                assert not types & {'Storage', 'Stream', 'Any', '__torch__'}, schema

    @pytest.mark.parametrize(
        'argument',
        [
            dict(as_custom_obj=dict(name='a', class_fqn='b')),
            dict(as_operator='os.system'),
            dict(as_scalar_type=99),
            dict(as_layout=1),
            dict(as_int='1'),
            dict(as_unknown=1),
        ],
    )
    def test_other_arguments(self, path, argument):
        edit(path, lambda p: nodes(p)[0]['inputs'][3].update(arg=argument))
        assert 'is refused, because' in error_of(path)

    @pytest.mark.parametrize('kind', ['input', 'block', 'name', 'version', 'order'])
    def test_other_content(self, path, kind):
        def change(program):
            module = program['graph_module']
            if kind == 'input':
                custom = dict(arg=dict(name='a', class_fqn='b'), custom_obj_name='c')
                module['signature']['input_specs'].append(dict(custom_obj=custom))
            if kind == 'version':
                program['schema_version']['major'] = 9
            if kind == 'name':
                module['signature']['input_specs'].pop(0)

        edit(path, change)
        if kind == 'block':
            add_node(path, next(iter(BLOCKS)), ('', True), ('', 1))
        if kind == 'order':
            rewrite(path, lambda n, c: b'big' if n.endswith('byteorder') else c)
        if kind == 'name':
            error = error_for(load_program(str(path)), torch.rand(1, 3, 8, 12))
            assert 'KeyError' in error
        else:
            assert 'is refused, because' in error_of(path)

    def test_tensor_beyond_its_file(self, path):
        def change(config):
            for entry in config['config'].values():
                entry['tensor_meta']['storage_offset']['as_int'] = 10**6

        edit(path, change, 'model_weights_config.json')
        assert 'not a complete program' in error_of(path)

    @pytest.mark.parametrize('text', ['[' * 100_000, '{}', '[]', '1', 'x', 'null'])
    def test_other_json(self, path, text):
        rewrite(path, lambda n, c: text.encode() if n.endswith('model.json') else c)
        assert 'is not a complete program of torch.export' in error_of(path)

    def test_zip_bomb(self, path):
        with zipfile.ZipFile(path, 'a', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('a/extra', bytes(10**7))
        assert 'would unpack to' in error_of(path)

    def test_nested_zip_bomb(self, path, tmp_path):
        with zipfile.ZipFile(tmp_path / 'b', 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('archive/data.pkl', bytes(10**6))
        with zipfile.ZipFile(path, 'a') as archive:
            archive.write(tmp_path / 'b', 'a/data/weights/model.pt')
        assert 'would unpack to' in error_of(path)


def torchscript(path):
    torch.jit.save(torch.jit.script(torch.nn.Conv2d(3, 2, 1)), path)


@pytest.mark.parametrize('suffix', ['pt2', 'onnx', 'pt', 'pth', 'ts'])
class TestFiles:
    def test_torchscript_under_any_name(self, tmp_path, suffix, monkeypatch):
        path = tmp_path / f'a.{suffix}'
        torchscript(tmp_path / 'a')
        (tmp_path / 'a').rename(path)
        monkeypatch.setattr(torch.jit, 'load', None)
        error = error_of(path)
        assert SWITCH in error or 'is not a complete ONNX graph' in error

    def test_missing(self, tmp_path, suffix):
        assert error_of(tmp_path / f'a.{suffix}')

    @pytest.mark.parametrize('share', [0, 0.01, 0.5, 0.99])
    def test_truncated(self, tmp_path, suffix, share, exported):
        path = tmp_path / f'a.{suffix}'
        if suffix == 'pt2':
            shutil.copy(exported[0], path)
        elif suffix == 'onnx':
            write_onnx(path)
        else:
            torchscript(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])
        for allow_code in (False, True):
            assert error_of(path, allow_code=allow_code)

    def test_url(self, suffix):
        assert error_of(f'https://example.com/a.{suffix}', allow_code=True)


class TestSwitch:
    def test_torchscript(self, tmp_path):
        torchscript(tmp_path / 'a.pt')
        images = torch.rand(2, 3, 4, 4)
        program = load_program(str(tmp_path / 'a.pt'), allow_code=True).eval()
        expected = torch.jit.load(tmp_path / 'a.pt')(images)
        assert torch.equal(copy.deepcopy(program)(images), expected)

    def test_export(self, path, exported):
        """A program with any operator is loaded by PyTorch."""
        edit(path, lambda p: nodes(p)[0].update(target='torch.ops.aten.conv2d.default'))
        program = load_program(str(path), allow_code=True).eval()
        images = torch.rand(2, 3, 8, 12)
        with torch.no_grad():
            torch.testing.assert_close(program(images), exported[1](images))


class TestOnnx:
    @pytest.mark.parametrize('batch', ['n', 1, 2])
    def test_batches(self, tmp_path, batch):
        write_onnx(tmp_path / 'a.onnx', (batch, 3, 'h', 'w'))
        images = torch.rand(3, 3, 4, 5)
        program = copy.deepcopy(load_program(str(tmp_path / 'a.onnx')).eval())
        assert torch.equal(program(images), 2 * images)

    def test_several_outputs(self, tmp_path):
        write_onnx(tmp_path / 'a.onnx', outputs=('logits', 'aux'))
        images = torch.rand(3, 3, 4, 5)
        found = load_program(str(tmp_path / 'a.onnx'))(images)
        assert list(found) == ['logits', 'aux']
        assert torch.equal(found['aux'], 2 * images)
        assert found[1] is found['aux']
        assert found[-2] is found['logits']
        with pytest.raises(IndexError):
            found[2]
        with pytest.raises(KeyError):
            found['other']

    def test_bytes_with_channels_last(self, tmp_path):
        """As written by ``mmkd export``."""
        write_onnx(tmp_path / 'a.onnx', ('n', 'h', 'w', 3), 'UINT8')
        images = torch.tensor([0.4, 7.6, 300.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
        found = load_program(str(tmp_path / 'a.onnx'))(images)
        assert found.shape == (2, 4, 5, 3)
        assert found[0, 0, 0].tolist() == [0.0, 16.0, 510.0]

    def test_half_precision(self, tmp_path):
        write_onnx(tmp_path / 'a.onnx', dtype='FLOAT16')
        images = torch.rand(2, 3, 4, 5)
        found = load_program(str(tmp_path / 'a.onnx'))(images)
        assert torch.equal(found, 2 * images.half().float())

    def test_other_image_size(self, tmp_path):
        write_onnx(tmp_path / 'a.onnx', (1, 3, 8, 12))
        error = error_for(
            load_program(str(tmp_path / 'a.onnx')), torch.rand(1, 3, 4, 4)
        )
        assert 'set teacher.size=(8, 12)' in error

    @pytest.mark.parametrize('dtype', ['INT64', 'STRING'])
    def test_other_types(self, tmp_path, dtype):
        write_onnx(tmp_path / 'a.onnx', dtype=dtype)
        assert 'must have one input, images as' in error_of(tmp_path / 'a.onnx')

    @pytest.mark.parametrize('missing', ['onnx', 'onnxruntime'])
    def test_without_the_extra(self, tmp_path, missing, monkeypatch):
        write_onnx(tmp_path / 'a.onnx')
        find = util.find_spec
        monkeypatch.setattr(
            'mmkd.models.programs.onnx_program.find_spec',
            lambda name: None if name == missing else find(name),
        )
        error = error_of(tmp_path / 'a.onnx')
        assert f"needs {missing}: run pip install 'mmkd[deploy]'" in error

    @pytest.mark.parametrize(
        'operator', ['mine.Op', 'com.microsoft.EPContext', 'org.pytorch.aten.ATen']
    )
    def test_custom_operator(self, tmp_path, operator):
        model = write_onnx(tmp_path / 'a.onnx')
        domain, _, name = operator.rpartition('.')
        model.graph.node[1].domain, model.graph.node[1].op_type = domain, name
        (tmp_path / 'a.onnx').write_bytes(model.SerializeToString())
        assert f"its operator '{operator}'" in error_of(tmp_path / 'a.onnx')

    @staticmethod
    def external(folder, location, place='weight'):
        """Moves a weight to another file."""
        from onnx import TensorProto, helper

        model = write_onnx(folder / 'a.onnx')
        tensor = model.graph.initializer[0]
        if place == 'attribute':
            tensor = helper.make_tensor('b', TensorProto.FLOAT, [1], [2.0])
        tensor.ClearField('float_data')
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key='location', value=str(location))
        if place == 'attribute':  # of an operator in a branch
            inner = helper.make_node('Constant', [], ['c'], value=tensor)
            branch = helper.make_graph([inner], 'branch', [], [])
            node = helper.make_node('If', ['d'], ['e'], then_branch=branch)
            model.graph.node.append(node)
        (folder / 'a.onnx').write_bytes(model.SerializeToString())

    def test_external_weights(self, tmp_path):
        self.external(tmp_path, 'weights.bin')
        np.array([2.0], dtype=np.float32).tofile(tmp_path / 'weights.bin')
        images = torch.rand(2, 3, 4, 5)
        assert torch.equal(load_program(str(tmp_path / 'a.onnx'))(images), 2 * images)
        (tmp_path / 'weights.bin').unlink()
        assert "'weights.bin' does not exist" in error_of(tmp_path / 'a.onnx')

    @pytest.mark.parametrize('place', ['weight', 'attribute'])
    @pytest.mark.parametrize(
        'location', ['../secret', 'absolute', 'link', 'b/../../secret']
    )
    def test_weights_of_another_folder(self, tmp_path, location, place):
        secret, folder = tmp_path / 'secret', tmp_path / 'model'
        np.array([2.0], dtype=np.float32).tofile(secret)
        folder.mkdir()
        (folder / 'link').symlink_to(secret)
        location = secret if location == 'absolute' else location
        self.external(folder, location, place)
        error = error_of(folder / 'a.onnx')
        assert f"it reads '{location}', a file outside its folder" in error

    def test_format_of_onnxruntime(self, tmp_path):
        """It holds graphs, too, and is recognized by its content."""
        import onnxruntime

        write_onnx(tmp_path / 'b.onnx')
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / 'a.onnx')
        options.add_session_config_entry('session.save_model_format', 'ORT')
        onnxruntime.InferenceSession(tmp_path / 'b.onnx', options)
        assert 'is not a complete ONNX graph' in error_of(tmp_path / 'a.onnx')
