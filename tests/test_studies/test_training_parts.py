"""Parts of the studies' trainings."""

import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmcv.transforms import Compose
from mmengine.logging import MessageHub

from studies.cached_loading import CachedLoading
from studies.cpu_time import CpuTimeHook


@pytest.fixture
def sample(tmp_path):
    paths = {key: str(tmp_path / f'{key}.png') for key in ('img', 'seg_map')}
    image = np.random.default_rng(0).integers(256, size=(4, 5, 3), dtype=np.uint8)
    cv2.imwrite(paths['img'], image)
    cv2.imwrite(paths['seg_map'], image[..., 0] % 11)
    return {f'{key}_path': path for key, path in paths.items()} | dict(
        reduce_zero_label=False, seg_fields=[], label_map=None
    )


@pytest.mark.parametrize('labels', [True, False])
def test_cached_loading_is_loading(labels, sample, tmp_path):
    """The same results, also after a caller has changed them, and without the files."""
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    load = Compose(steps if labels else steps[:1])
    cached = CachedLoading(labels)
    expected = load(dict(sample, seg_fields=[]))
    first = cached(dict(sample, seg_fields=[]))
    first['img'][:] = 0
    first['seg_fields'].append('other')
    for path in tmp_path.glob('*.png'):
        path.unlink()
    second = cached(dict(sample, seg_fields=[]))
    assert second.keys() == expected.keys()
    assert second['seg_fields'] == expected['seg_fields']
    np.testing.assert_array_equal(second['img'], expected['img'])
    if labels:
        np.testing.assert_array_equal(second['gt_seg_map'], expected['gt_seg_map'])


def test_cpu_time_excludes_waiting_and_validation():
    hub = MessageHub.get_instance('test_cpu_time')
    runner, hook = SimpleNamespace(message_hub=hub), CpuTimeHook()
    hook.before_train(runner)
    time.sleep(0.2)
    work(0.02)
    hook.after_train_iter(runner)
    work(0.2)
    hook.after_val_epoch(runner)
    work(0.02)
    hook.after_train_iter(runner)
    logged, _ = hub.get_scalar('train/cpu_time').data
    assert len(logged) == 2
    assert all(0.02 <= value < 0.2 for value in logged)


def work(seconds):
    """Use CPU time."""
    start = time.process_time()
    while time.process_time() < start + seconds:
        pass
