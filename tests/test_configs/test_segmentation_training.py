"""One training step of every full-size pair, on images of a quarter of the size."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmseg.registry import DATASETS
from PIL import Image

from .files import CONFIGS, train

SLOW = ['4xb2-80k_cityscapes-512x1024', '1xb16-40k_camvid-360x360']
SCALES = ['4xb2-40k_cityscapes-512x512']
SCALES += [pytest.param(scale, marks=pytest.mark.slow) for scale in SLOW]
STEPS = ('LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs')


def write_random_weights(config, path):
    """Save the weights of a network's config, as wide as it says, and its classes."""
    config = Config.fromfile(config)
    model = config.model
    model.pretrained = None
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(model)
    meta = dict(dataset_meta=config.train_dataloader.dataset.get('metainfo', {}))
    state = model.state_dict()
    torch.save(dict(state_dict=state, meta=Config(meta).to_dict()), path)
    return sum(parameter.numel() for parameter in model.parameters())


def write_images(dataset, size, folder):
    """Fill the folders that a dataset's config names with two images of noise."""
    built = DATASETS.build(dict(**dataset, lazy_init=True))
    rng = np.random.default_rng(0)
    for key, kind, shape in (
        ('img_path', 'img_suffix', (*size, 3)),
        ('seg_map_path', 'seg_map_suffix', size),
    ):
        place = folder / dataset.data_prefix[key]
        place.mkdir(parents=True)
        suffixes = getattr(built, kind)
        suffix = suffixes if isinstance(suffixes, str) else suffixes[-1]
        for name in 'ab':
            pixels = rng.integers(0, 11, shape, dtype=np.uint8)
            Image.fromarray(pixels).save(place / f'{name}{suffix}')


@pytest.mark.parametrize('scale', SCALES)
def test_one_step_with_the_losses_of_all_methods(scale, tmp_path):
    (path,) = CONFIGS.glob(f'kd/kd_*{scale}.py')
    config = Config.fromfile(path)
    config.distill_losses = {
        f'{name}_{method.stem}': loss
        for method in sorted((CONFIGS / 'methods').glob('*.py'))
        for name, loss in Config.fromfile(method).distill_losses.items()
    }
    size = tuple(side // 4 for side in config.crop_size)
    config.model.data_preprocessor.size = size  # to which images are padded
    config.model.pretrained = None  # would be downloaded, as the teacher's weights
    config.teacher.checkpoint = str(tmp_path / 'teacher.pth')
    parameters = write_random_weights(config.teacher.config, config.teacher.checkpoint)
    assert parameters == pytest.approx(67.97e6, rel=1e-3)
    loader = config.train_dataloader
    loader.batch_size = 2
    loader.dataset.data_root = str(tmp_path)
    loader.dataset.pipeline = [dict(type=step) for step in STEPS]
    write_images(loader.dataset, size, tmp_path)
    for part in ('dataloader', 'cfg', 'evaluator'):
        config[f'val_{part}'] = config[f'test_{part}'] = None
    config.train_cfg.max_iters = 1
    config.default_hooks.checkpoint.interval = 1

    runner = train(config, tmp_path)
    logged = runner.message_hub.log_scalars
    for name in config.distill_losses:
        assert np.isfinite(logged[f'train/distill.{name}'].current())
    weights = torch.load(tmp_path / 'work/iter_1.pth', weights_only=False)['state_dict']
    with DefaultScope.overwrite_default_scope('mmseg'):
        student = MODELS.build(config.model)
    student.load_state_dict(weights)
    size = sum(parameter.numel() for parameter in student.parameters())
    assert size == pytest.approx(12.79e6, rel=1e-3)
    for file in (tmp_path / 'teacher.pth', tmp_path / 'work/iter_1.pth'):
        file.unlink()  # of hundreds of megabytes
