"""Reading of configs, and changes to them by command-line options."""

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from inspect import signature
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

SIMILAR = 0.85  # ratio of difflib from which a key is taken for a misspelled one
CONFIGS = Path(mmkd.__file__).parent / '.mim' / 'configs'


@contextmanager
def package_bases() -> Iterator[None]:
    """Support ``'mmkd::...'``, ``'mmseg::...'`` etc. in configs read in this context.

    MMEngine looks up such a base in site-packages, where an editable install has no
    files, by the name of OpenMMLab's distribution, which OneDL's is not. It also
    resolves its types in scope mmkd, which does not contain mmseg's types. Therefore
    one of MMEngine's functions is replaced within this context. Remove this when
    MMEngine's ``get_installed_path`` finds editable installs (PEP 660) and OneDL's
    distributions.
    """
    original = Config._get_cfg_path

    def get_cfg_path(path: str, filename: str) -> tuple[str, str | None]:
        if '::' not in path:
            return original(path, filename)
        package = path.partition('::')[0]
        # As in MMEngine, other packages' types are looked up in their own scope.
        return str(find_config(path)), None if package == 'mmkd' else package

    Config._get_cfg_path = staticmethod(get_cfg_path)
    try:
        yield
    finally:
        Config._get_cfg_path = staticmethod(original)


def find_config(name: str) -> Path:
    """Return the path of an installed config, ``'<package>::<config>'``.

    Raises:
        UserError: if the package is not installed or has no such config; the message
            suggests similar names.

    Example:
        >>> find_config('mmkd::methods/kd.py').name
        'kd.py'
    """
    package, _, config = name.partition('::')
    folder = CONFIGS
    if package != 'mmkd':
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.origin:
            raise UserError(
                f"'{name}': the package '{package}' is not installed; install it, or "
                'give the path of a config file'
            )
        folder = Path(spec.origin).parent / '.mim' / 'configs'
    for path in (folder / config, folder / f'{config}.py'):
        if path.is_file():
            return path
    known = [str(path.relative_to(folder)) for path in folder.rglob('*.py')]
    by_stem = {Path(path).stem: path for path in known}
    near = get_close_matches(config, known, n=3) or [
        by_stem[stem] for stem in get_close_matches(Path(config).stem, by_stem, n=3)
    ]
    like = f'did you mean {" or ".join(near)}?' if near else f"see '{folder}'"
    raise UserError(f"'{name}': {package} has no config '{config}'; {like}")


class _YamlLoader(yaml.SafeLoader):
    """YAML loader of plain values and tuples, as dumped by MMEngine."""


_YamlLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple',
    lambda self, node: tuple(self.construct_sequence(node)),
)


class _SafeYamlHandler(YamlHandler):
    def load_from_fileobj(self, file: TextIO, **kwargs: object) -> object:
        return super().load_from_fileobj(file, Loader=_YamlLoader)


@contextmanager
def safe_yaml() -> Iterator[None]:
    """Read YAML configs within this context as data only.

    MMEngine's reader calls functions named by tags such as
    ``!!python/object/apply``. It is replaced within this context. Remove this when
    MMEngine reads YAML safely.
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
    """Read the config of a run and apply overrides of its keys.

    A Python config is executed as code; YAML and JSON configs are data.

    Args:
        path: Path of a file, or ``'<package>::<config>'`` for one of a package.
        options: Values by dotted key.

    Raises:
        UserError: if the file does not exist, is not a valid config or has no model, or
            an override seems to be misspelled.
    """
    if '::' in str(path):
        try:
            path = find_config(str(path))
        except UserError as error:
            raise UserError(f'config: {error}') from None
    if not Path(path).is_file():
        raise UserError(f"config: '{path}' does not exist; check the path")
    try:
        with package_bases(), safe_yaml():
            config = Config.fromfile(path)
    except UserError as error:
        raise UserError(f"config: '{path}' cannot be read: {error}") from error
    except Exception as error:  # a config is code and can raise any exception
        raise UserError(f"config: '{path}' {_reason(error)}") from error
    if options:
        _check_options(config, options)
        try:
            config.merge_from_dict(dict(options))
        except (KeyError, TypeError) as error:  # of an item that a list does not have
            raise UserError(f"--cfg-options: '{path}' {_reason(error)}") from error
    _check_printable(config, path)
    if not isinstance(config.get('model'), dict):
        raise UserError(
            f"model: '{path}' has no model; if it is a base of other configs, give one "
            'of those'
        )
    return config


def _check_options(config: Config, options: Mapping[str, object]) -> None:
    """Raise a UserError for an override that adds a key similar to another one."""
    # Imported here, since it takes seconds.
    from mmengine.runner import Runner

    known = {*config, *signature(Runner.__init__).parameters}
    for key in options:
        first, dot, _ = key.partition('.')
        if first in known:
            continue
        near = get_close_matches(first, known, n=1, cutoff=SIMILAR)
        if not (near or dot):
            every = [each for each, _ in walk(config.to_dict())]
            leaves = {each.rpartition('.')[2]: each for each in reversed(every)}
            found = get_close_matches(first, leaves, n=1, cutoff=SIMILAR)
            near = [leaves[leaf] for leaf in found]
        if near:
            raise UserError(
                f"--cfg-options {key}: the config has no '{first}'; did you mean "
                f'{near[0]}?'
            )


def _reason(error: Exception) -> str:
    """Describe why a config cannot be read, in one line."""
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    if found := re.search(r'Duplicate keys: \{(.+?)\}', reason):
        keys = ', '.join(sorted(re.findall(r'\w+', found[1])))
        return (
            f'has two bases that both define {keys}: Duplicate keys are not merged; '
            'remove one of the bases and write its keys into this file, or let one '
            'base have the other as its own _base_'
        )
    return f'cannot be read: {reason}'


def _check_printable(config: Config, path: str | Path) -> None:
    """Raise a UserError for a key or value that cannot be recorded as text.

    MMEngine records the config of every run as text.
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
                'recorded as text; write it as numbers, strings, lists and dicts'
            ) from error


def enable_amp(config: Config) -> None:
    """Enable automatic mixed precision: fp16 on a GPU, bf16 on a CPU.

    Raises:
        UserError: for an unsupported optimizer wrapper.
    """
    wrapper = config.optim_wrapper
    kind = type_name(wrapper) if 'type' in wrapper else 'OptimWrapper'
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(
            f'optim_wrapper.type: --amp needs an OptimWrapper, not {kind}; change it, '
            'or train without --amp'
        )
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
    """Draw the test images with the config's visualization hook.

    Raises:
        UserError: if the config has no visualization hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserError(
            'default_hooks.visualization: missing, but --show and --show-dir need it; '
            "set it, for example to dict(type='SegVisualizationHook')"
        )
    hook.update(draw=True, show=show, wait_time=wait_time)
    if show_dir is not None:
        config.visualizer.save_dir = show_dir


def enable_tta(config: Config) -> None:
    """Apply the config's test-time augmentation to model and test data.

    Raises:
        UserError: if the config has no test-time augmentation.
    """
    for key in ('tta_pipeline', 'tta_model'):
        if key not in config:
            raise UserError(
                f'{key}: missing in the config, but --tta needs it; add it, or test '
                'without --tta'
            )
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.tta_model.module = config.model
    config.model = config.tta_model


def write_predictions(config: Config, folder: str) -> None:
    """Let the IoUMetric of the test write the predictions to a folder.

    Raises:
        UserError: if the test has no IoUMetric.
    """
    metrics = config.test_evaluator
    metrics = metrics if isinstance(metrics, list | tuple) else [metrics]
    found = [metric for metric in metrics if type_name(metric) == 'IoUMetric']
    if not found:
        raise UserError(
            'test_evaluator: --out needs an IoUMetric, which writes the labels; add '
            "dict(type='IoUMetric')"
        )
    found[0].update(output_dir=folder, keep_results=True)
