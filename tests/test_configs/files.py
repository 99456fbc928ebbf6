"""The configs, and what each of them is."""

import ast
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import RUNNERS, DefaultScope
from mmengine.runner import Runner

CONFIGS = Path(__file__).parents[2] / 'configs'
METHODS = sorted((CONFIGS / 'methods').rglob('*.py'))
WHOLE = sorted(
    path
    for path in CONFIGS.rglob('*.py')
    if not {'_base_', 'methods'} & set(path.relative_to(CONFIGS).parts)
)
DISTILLED = [path for path in WHOLE if '/teachers/' in path.read_text()]
NETWORKS = [path for path in WHOLE if path not in DISTILLED]


def name_of(path: Path) -> str:
    """Return the id of a config's test."""
    return path.relative_to(CONFIGS).with_suffix('').as_posix()


def bases_of(path: Path) -> list[Path]:
    """Return the paths in ``_base_``, which a config begins with."""
    value = ast.literal_eval(ast.parse(path.read_text()).body[0].value)
    value = [value] if isinstance(value, str) else value
    return [(path.parent / base).resolve() for base in value]


def train(config: Config, folder: Path) -> Runner:
    """Run a config's training without workers, in a folder."""
    config.merge_from_dict(
        {
            'work_dir': str(folder / 'work'),
            'experiment_name': folder.name,
            'launcher': 'none',
            'env_cfg.cudnn_benchmark': False,
        }
    )
    for split in ('train', 'unlabeled', 'val', 'test'):
        if loader := config.get(f'{split}_dataloader'):
            loader.update(num_workers=0, persistent_workers=False)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        runner = RUNNERS.build(config)
        runner.train()
    return runner
