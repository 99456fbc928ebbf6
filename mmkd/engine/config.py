"""Reading a config, and the command line's changes to it."""

import ast
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import yaml
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.fileio.handlers import YamlHandler, file_handlers

import mmkd
from mmkd.engine.config_errors import walk
from mmkd.errors import UserError
from mmkd.registry import type_name

CONFIGS = Path(mmkd.__file__).parent / '.mim' / 'configs'


@contextmanager
def mmkd_bases() -> Iterator[None]:
    """Let configs that are read within this context have ``'mmkd::...'`` bases.

    MMEngine looks for such a base in site-packages, where an editable install has no
    files, and treats its contents as of scope mmkd, where mmseg's types are not known.
    For the time of reading, one of its functions is replaced. To be removed when
    MMEngine's ``get_installed_path`` finds editable installs (PEP 660).
    """
    original = Config._get_cfg_path

    def get_cfg_path(path: str, filename: str) -> tuple[str, str | None]:
        package, _, config = path.partition('::')
        if package != 'mmkd':
            return original(path, filename)
        if not (CONFIGS / config).is_file():
            raise FileNotFoundError(f"'{path}': mmkd has no config '{config}'")
        return str(CONFIGS / config), None

    Config._get_cfg_path = staticmethod(get_cfg_path)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(original)


class _YamlLoader(yaml.SafeLoader):
    """Loader of plain values and tuples, as MMEngine dumps them."""


_YamlLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple',
    lambda self, node: tuple(self.construct_sequence(node)),
)


class _SafeYamlHandler(YamlHandler):
    def load_from_fileobj(self, file: TextIO, **kwargs: object) -> object:
        return super().load_from_fileobj(file, Loader=_YamlLoader)


@contextmanager
def safe_yaml() -> Iterator[None]:
    """Let YAML configs that are read within this context hold data only.

    MMEngine's reader calls what a tag such as ``!!python/object/apply`` names. For the
    time of reading, it is replaced. To be removed when MMEngine reads YAML safely.
    """
    original = {suffix: file_handlers[suffix] for suffix in ('yaml', 'yml')}
    file_handlers.update(dict.fromkeys(original, _SafeYamlHandler()))
    try:
        yield
    finally:
        file_handlers.update(original)


def read_config(
    path: str | Path, options: Mapping[str, object] | None = None
) -> Config:
    """Read the config of a run, with overrides of its keys.

    A Python config is code and is executed; YAML and JSON are data.

    Raises:
        UserError: if the file does not exist, is no valid config or has no model.
    """
    if not Path(path).is_file():
        raise UserError(f"config: '{path}' does not exist")
    try:
        with mmkd_bases(), safe_yaml():
            config = Config.fromfile(path)
        config.merge_from_dict(dict(options or {}))
    except Exception as error:  # a config is code, its overrides are anything
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise UserError(f"config: '{path}' cannot be read: {reason}") from error
    _check_printable(config, path)
    if not isinstance(config.get('model'), dict):
        raise UserError(f"model: '{path}' has no model; is it a base of other configs?")
    return config


def _check_printable(config: Config, path: str | Path) -> None:
    """Raise a UserError for a key or value that MMEngine cannot write down.

    It records the config of every run as text.
    """
    for key, value in walk(config.to_dict()):
        name = key.rpartition('.')[2]
        try:
            ast.parse(f"'{name}'", mode='eval')
            if not isinstance(value, str | type | Mapping | list | tuple):
                ast.parse(str(value), mode='eval')
        except (SyntaxError, ValueError) as error:
            raise UserError(
                f"{key}: '{path}' has a {type(value).__name__} there that cannot be "
                'recorded as text; write it as numbers, texts, lists and dicts'
            ) from error


def enable_amp(config: Config) -> None:
    """Train in automatic mixed precision: fp16, or bf16 on a CPU.

    Raises:
        UserError: for an optimizer wrapper of another kind.
    """
    wrapper = config.optim_wrapper
    kind = type_name(wrapper) if 'type' in wrapper else 'OptimWrapper'
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'optim_wrapper.type: --amp needs an OptimWrapper, not {kind}')
    if get_device() == 'cpu':
        wrapper.type = 'mmkd.CpuAmpOptimWrapper'
        for key in ('loss_scale', 'dtype'):
            wrapper.pop(key, None)
    else:
        wrapper.type = 'AmpOptimWrapper'
        wrapper.setdefault('loss_scale', 'dynamic')


def enable_visualization(
    config: Config, show: bool, show_dir: str | None, wait_time: float
) -> None:
    """Draw the test images by the config's visualization hook.

    Raises:
        UserError: if the config has no such hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            'default_hooks.visualization: --show and --show-dir need one, such as '
            "dict(type='SegVisualizationHook')"
        )
    hook.update(draw=True, show=show, wait_time=wait_time)
    if show_dir is not None:
        config.visualizer.save_dir = show_dir


def enable_tta(config: Config) -> None:
    """Wrap model and test data in the config's test-time augmentation.

    Raises:
        UserError: if the config describes none.
    """
    for key in ('tta_pipeline', 'tta_model'):
        if key not in config:
            raise UserError(f'{key}: --tta needs it, and the config has none')
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.tta_model.module = config.model
    config.model = config.tta_model


def write_predictions(config: Config, folder: str) -> None:
    """Write the test's predictions by its IoUMetric.

    Raises:
        UserError: without such a metric.
    """
    metrics = config.test_evaluator
    metrics = metrics if isinstance(metrics, list | tuple) else [metrics]
    found = [metric for metric in metrics if type_name(metric) == 'IoUMetric']
    if not found:
        raise UserError('test_evaluator: --out needs an IoUMetric, which writes labels')
    found[0].update(output_dir=folder, keep_results=True)
