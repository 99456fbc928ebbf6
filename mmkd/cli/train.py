"""Train a network, or distill a student."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_run_arguments, run_config

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_run_arguments(parser)
    parser.add_argument(
        '--teacher',
        nargs=2,
        action='append',
        metavar=('CONFIG', 'CHECKPOINT'),
        help='distill from this teacher; needs --method unless the config has losses. '
        'Several, each with a name: --teacher fine=CONFIG CHECKPOINT --teacher ...',
    )
    parser.add_argument(
        '--method',
        help='distillation losses: name of a file in configs/methods, such as bdd_ls '
        'or cifar100/kd, or path of such a file',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='resume from the last complete checkpoint in the work-dir, if any',
    )
    parser.add_argument(
        '--amp', action='store_true', help='train with automatic mixed precision'
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    args = parse_args(argv)

    # Imported after parsing the arguments, so that --help is fast.
    from .console import import_packages, one_line_errors

    import_packages()
    from mmengine.registry import RUNNERS

    from mmkd.engine.checkpoint_hook import latest_checkpoint
    from mmkd.engine.config import enable_amp
    from mmkd.engine.config_errors import naming_keys

    with one_line_errors():
        config = run_config(args)
        if args.method:
            add_method(config, args.method)
        if args.teacher:
            config.teacher = read_teachers(args.teacher)
        config.merge_from_dict(args.cfg_options or {})  # may change teacher and losses
        check_distillation(config)
        checkpoints = (config.get('default_hooks') or {}).get('checkpoint') or {}
        out_dir = checkpoints.get('out_dir')
        if args.resume and (args.cfg_options or {}).get('load_from'):
            config.resume = True
        elif args.resume and latest_checkpoint(config.work_dir, out_dir):
            config.resume, config.load_from = True, None
        if args.amp:
            enable_amp(config)
        config.setdefault('runner_type', 'mmkd.Runner')
        with naming_keys(config):
            RUNNERS.build(config).train()


def add_method(config: 'Config', method: str) -> None:
    """Merge a method file into a config.

    Raises:
        UserError: for an unknown method; the message suggests similar names.
    """
    from difflib import get_close_matches

    from mmengine.config import Config

    from mmkd.engine.config import CONFIGS
    from mmkd.errors import UserError

    folder = CONFIGS / 'methods'
    path = Path(method)
    if path.suffix != '.py':
        path = folder / f'{method}.py'
    if not path.is_file():
        files = sorted(folder.rglob('*.py'))
        names = [str(file.relative_to(folder).with_suffix('')) for file in files]
        near = get_close_matches(method, names, n=3, cutoff=0.4) or names
        raise UserError(
            f"--method: unknown method '{method}'; did you mean {' or '.join(near)}?"
        )
    for key, value in Config.fromfile(path).items():
        config[key] = value


def read_teachers(given: list[tuple[str, str]]) -> dict:
    """Return the config of the teachers on the command line.

    Args:
        given: Config and checkpoint of each teacher, the config as ``NAME=CONFIG`` if
            there are several.

    Raises:
        UserError: for several teachers without names, or with the same name.
    """
    from mmkd.errors import UserError

    teachers: dict[str, dict] = {}
    for path, checkpoint in given:
        name, equals, rest = path.partition('=')
        if equals and not Path(path).is_file():  # otherwise a part of the path
            path = rest
        else:
            name = ''
        if '::' not in path:  # otherwise a config of an installed package
            path = str(Path(path).resolve())
        if name in teachers or ('' in (name, *teachers) and len(given) > 1):
            raise UserError(
                '--teacher: several teachers need a name each: --teacher '
                'fine=CONFIG CHECKPOINT --teacher coarse=CONFIG CHECKPOINT'
            )
        teachers[name] = dict(config=path, checkpoint=checkpoint)
    return teachers.get('', teachers)


def check_distillation(config: 'Config') -> None:
    """Raise a UserError if a config has only some of the keys of a distillation."""
    from mmengine.registry import RUNNERS

    from mmkd.distillation import DistillRunner
    from mmkd.errors import UserError

    kind = config.get('runner_type', 'mmkd.Runner')
    kind = RUNNERS.get(kind) if isinstance(kind, str) else kind
    distills = isinstance(kind, type) and issubclass(kind, DistillRunner)
    fixes = dict(
        teacher='add teacher=dict(config=..., checkpoint=...), or --teacher',
        distill_losses='add distill_losses, or choose a method with --method',
    )
    if not distills and not any(config.get(key) for key in fixes):
        return
    for key, fix in fixes.items():
        if not config.get(key):
            raise UserError(f'{key}: missing, but a distillation needs it; {fix}')
    if not distills:
        raise UserError(
            "runner_type: it must be 'mmkd.DistillRunner' for teacher and "
            'distill_losses to have an effect'
        )
