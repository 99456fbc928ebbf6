"""The notebook runs from top to bottom, here on a few images for two iterations."""

import json
import re
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
NOTEBOOK = REPO / 'examples/demo.ipynb'
TINY = (
    *('train_cfg.max_iters=2', 'train_cfg.val_interval=2'),
    *('param_scheduler.0.end=1', 'param_scheduler.1.begin=1'),
    *('param_scheduler.1.end=2', 'train_dataloader.batch_size=2'),
    *('train_dataloader.num_workers=0', 'val_dataloader.num_workers=0'),
    'train_dataloader.persistent_workers=False',
    'val_dataloader.persistent_workers=False',
    *('default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1'),
)


def test_no_outputs_are_stored():
    cells = json.loads(NOTEBOOK.read_text())['cells']
    assert not any(cell.get('outputs') for cell in cells)


@pytest.mark.slow  # a minute of CPU time, mostly imports
def test_notebook_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip('nbformat')
    nbclient = pytest.importorskip('nbclient')
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(REPO / name)
    monkeypatch.setenv('MMKD_DEMO_OPTIONS', ' '.join(TINY))
    monkeypatch.setenv('MMKD_DEMO_IMAGES', '4 4')
    monkeypatch.setenv('PYTHONPATH', str(REPO))
    for name in ('IPYTHONDIR', 'JUPYTER_RUNTIME_DIR'):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = dict(metadata=dict(path=str(tmp_path)))
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()

    outputs = [output for cell in notebook.cells for output in cell.get('outputs', ())]
    text = ''.join(output.get('text', '') for output in outputs)
    for name in ('teacher', 'student', 'distilled'):
        assert re.search(rf'^{name} +mIoU \d+\.\d\d$', text, re.MULTILINE)
    pictures = ['image/png' in output.get('data', ()) for output in outputs]
    assert sum(pictures) == 2
    assert (tmp_path / 'work_dirs/notebook/compared/panel.png').exists()
