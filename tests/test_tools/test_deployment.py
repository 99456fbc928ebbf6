"""Export and publishing of a distilled student by the tools."""

import re
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from mmkd.cli import export
from mmkd.deployment import onnx_parity
from mmkd.deployment.network import Deployable, load_network
from mmkd.deployment.onnx_export import EXPORTER
from mmkd.engine.config import read_config
from tests.test_tools.test_bad_input import error_of

EXPORT = 'deployment/export_onnx.py'
PUBLISH = 'model_converters/publish_model.py'
CHECKPOINT = 'work_dirs/kd/iter_4.pth'
exports = pytest.mark.skipif(torch.__version__ < EXPORTER, reason='refused before')

# Another process, in which there is no mmkd.
PLAIN = """
import sys
class Bar:
    def find_spec(self, name, *args):
        if name.partition('.')[0] == 'mmkd':
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Bar())
try:
    import mmkd
except ModuleNotFoundError:
    pass
else:
    sys.exit('mmkd was there')
import numpy as np
{usage}
np.save('labels.npy', result.pred_sem_seg.data.numpy())
"""


@pytest.fixture(scope='module')
def image(bench):
    return sorted((bench.folder / 'data/val').glob('*.png'))[0]


@pytest.fixture(scope='module')
def labels(bench, kd, distilled, image):
    """Labels that the distilled network gives to the image."""
    network, _ = load_network(read_config(kd), str(bench.folder / CHECKPOINT))
    pixels = torch.from_numpy(np.asarray(Image.open(image))[None])
    return Deployable(network)(pixels)[0][0].numpy()


@exports
def test_exported_network(bench, kd, distilled, labels, image):
    result = bench.run(EXPORT, kd, CHECKPOINT, '--out', 'kd.onnx', '--dynamic')
    for size in ('64x96', '49x73'):
        (share,) = re.findall(rf'5 images of {size}: ([\d.]+) %', result.output)
        assert float(share) >= 99.9
    assert 'Warning' not in result.output
    for row in ('student', 'teacher'):
        assert re.search(rf'│ {row} +│ +[\d.]+ │', result.output)
    session = onnxruntime.InferenceSession(bench.folder / 'kd.onnx')
    assert [output.name for output in session.get_outputs()] == ['labels']
    pixels = np.asarray(Image.open(image))[None]
    (found,) = session.run(None, {'images': pixels})[0]
    assert (found == labels).mean() >= 0.999


@pytest.mark.parametrize(
    'kind', ['pth', pytest.param('safetensors', marks=pytest.mark.slow)]
)
def test_published_weights_in_plain_mmseg(bench, kd, distilled, labels, image, kind):
    """The card's own lines give the network's labels."""
    bench.run(PUBLISH, kd, CHECKPOINT, '--out', kind, '--format', kind)
    folder = bench.folder / kind
    card = (folder / 'README.md').read_text()
    usage = re.search(r'```python\n(.+?)```', card, re.DOTALL)[1]
    code = PLAIN.format(usage=usage.replace("'image.png'", repr(str(image))))
    (folder / 'use.py').write_text(code)
    done = bench.shell('bash', '-c', f'cd {folder}; {sys.executable} use.py')
    assert done.code == 0, done.output
    (found,) = np.load(folder / 'labels.npy')
    assert (found == labels).mean() >= 0.999


@exports
def test_weights_that_do_not_fit(bench, kd, teacher):
    """Weights of the teacher are refused in one line, without a file."""
    wrong = 'work_dirs/teacher/iter_4.pth'
    result = bench.run(EXPORT, kd, wrong, '--out', 'misfit.onnx', code=None)
    assert f"checkpoint: '{wrong}' does not match" in error_of(result)
    result = bench.run(PUBLISH, kd, wrong, '--out', 'misfit', code=None)
    assert 'does not match' in error_of(result)
    assert not list(bench.folder.glob('misfit*'))


@exports
def test_images_that_are_not_there(bench, kd, distilled):
    result = bench.run(
        EXPORT, kd, CHECKPOINT, '--out', 'no.onnx', '--images', 'nowhere', code=None
    )
    assert "--images: 'nowhere' does not exist" in error_of(result)


@exports
def test_unequal_labels(bench, kd, distilled, monkeypatch):
    monkeypatch.chdir(bench.folder)
    monkeypatch.setattr(onnx_parity, 'measure_parity', lambda *_: (0.9989, 0.0))
    with pytest.raises(SystemExit, match=r'--out: not written, .* 99\.9% .*--opset'):
        export.main([kd, CHECKPOINT, '--out', 'unequal.onnx'])
    assert not (bench.folder / 'unequal.onnx').exists()
