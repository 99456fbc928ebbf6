"""Files of safetensors and folders of ``save_pretrained`` as checkpoints."""

import json

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from mmkd.checkpoint import load_weights
from mmkd.checkpoint_fit import check_fit
from mmkd.errors import UserError

safetensors = pytest.importorskip('safetensors.torch')

KEY = 'teacher.checkpoint'
FIX = f'give another with --cfg-options {KEY}=PATH'
WEIGHTS = {'a.weight': torch.arange(12.0).view(3, 4), 'a.bias': torch.ones(3)}
INDEX = 'model.safetensors.index.json'


def error_of(path):
    with pytest.raises(UserError) as raised:
        load_weights(str(path), KEY)
    error = str(raised.value)
    assert error.startswith(f"{KEY}: '{path}' ")
    assert error.endswith(FIX)
    assert '\n' not in error
    return error


def write_shards(folder, **changes):
    """Write a file for each weight; changes are of the index."""
    names = {key: f'model-{number}.safetensors' for number, key in enumerate(WEIGHTS)}
    for key, name in names.items():
        safetensors.save_file({key: WEIGHTS[key]}, folder / name)
    content = json.dumps(dict(weight_map={**names, **changes}))
    (folder / INDEX).write_text(content)


def test_file(tmp_path):
    """Its metadata may name the classes, as that of a published student does."""
    path = tmp_path / 'a.safetensors'
    meta = dict(dataset_meta=dict(classes=['a', 'b']))
    notes = {name: json.dumps(value) for name, value in meta.items()}
    safetensors.save_file(WEIGHTS, path, notes)
    state, found = load_weights(str(path), KEY)
    assert_close(state, WEIGHTS)
    assert found == meta


def test_folder(tmp_path):
    safetensors.save_file(WEIGHTS, tmp_path / 'model.safetensors')
    (tmp_path / 'config.json').write_text('{}')
    assert_close(load_weights(str(tmp_path), KEY), (WEIGHTS, {}))


def test_folder_of_shards(tmp_path):
    write_shards(tmp_path)
    assert_close(load_weights(str(tmp_path), KEY)[0], WEIGHTS)


def test_missing(tmp_path):
    assert 'does not exist' in error_of(tmp_path / 'a.safetensors')


@pytest.mark.parametrize('size', [0, 4, 30, -1])
def test_truncated(tmp_path, size):
    path = tmp_path / 'a.safetensors'
    safetensors.save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:size])
    assert 'is not a valid safetensors file (' in error_of(path)


@pytest.mark.parametrize(
    'content',
    [
        b'\x80\x02cos\nsystem\n(X\x04\x00\x00\x00true\x85R.',
        (2**63).to_bytes(8, 'little') + b'{}',
        (2).to_bytes(8, 'little') + b'{}' * 10,
        (60).to_bytes(8, 'little')
        + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,999999]}}'.ljust(60),
    ],
)
def test_malicious(tmp_path, content):
    """A pickle, a header of exabytes, rubbish, weights outside the file."""
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    assert 'is not a valid safetensors file (' in error_of(path)


def test_invalid_metadata(tmp_path):
    path = tmp_path / 'a.safetensors'
    safetensors.save_file(WEIGHTS, path, dict(dataset_meta='{'))
    assert 'has invalid metadata' in error_of(path)
    safetensors.save_file(WEIGHTS, path, dict(dataset_meta='[]'))
    assert 'has a list as meta.dataset_meta' in error_of(path)


@pytest.mark.parametrize(
    'name',
    ['../secret.safetensors', '/etc/passwd', 'sub/a.safetensors', 'a.bin', '..', ''],
)
def test_index_that_leaves_the_folder(tmp_path, name):
    folder = tmp_path / 'folder'
    (folder / 'sub').mkdir(parents=True)
    for place in (tmp_path / 'secret.safetensors', folder / 'sub/a.safetensors'):
        safetensors.save_file(WEIGHTS, place)
    write_shards(folder, **{'a.bias': name})
    error = error_of(folder)
    assert f"is refused because its {INDEX} names '{name}'" in error


def test_incomplete_folder(tmp_path):
    write_shards(tmp_path)
    (tmp_path / 'model-1.safetensors').unlink()
    assert 'lacks model-1.safetensors, which its' in error_of(tmp_path)
    safetensors.save_file({'b': torch.ones(1)}, tmp_path / 'model-1.safetensors')
    assert f'lacks a.bias, which {INDEX} lists' in error_of(tmp_path)


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"weight_map": 3}', '[' * 10**5])
def test_invalid_index(tmp_path, content):
    (tmp_path / INDEX).write_text(content)
    assert f'has an invalid {INDEX}' in error_of(tmp_path)


def test_tied_weights():
    """Weights that a network shares need not be in the file twice."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    state = dict(model.state_dict())
    del state['1.weight']
    with pytest.raises(UserError, match=r'1 missing \(1\.weight\)'):
        check_fit(model, state, 'it')
    model[1].weight = model[0].weight
    check_fit(model, state, 'it')
