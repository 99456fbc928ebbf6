"""Config of a trained network for mmseg's own tools."""

from mmengine.config import Config

# Keys about the training and its machine, not the network.
TRAINING_KEYS = (
    *('teacher', 'distill_losses', 'runner_type'),
    *('work_dir', 'load_from', 'resume', 'launcher'),
)


def plain_config(config: Config) -> Config:
    """Return a config without the distillation and all that only mmkd can build.

    A dataset of mmkd, for example, is left out with what depends on it; the model and
    the test pipeline stay. Where the network itself is one of mmkd's, the rest stays.
    """
    config = Config(config.to_dict(), filename=config.filename)
    for key in TRAINING_KEYS:
        config.pop(key, None)
    if needs_mmkd(config.model):
        return config
    for key, value in list(config.items()):
        if isinstance(value, list):
            config[key] = [item for item in value if not needs_mmkd(item)]
        elif needs_mmkd(value):
            config.pop(key)
    for split in ('train', 'val', 'test'):
        evaluated = split == 'train' or config.get(f'{split}_evaluator')
        if f'{split}_dataloader' not in config or not evaluated:
            for part in ('dataloader', 'cfg', 'evaluator'):
                config.pop(f'{split}_{part}', None)
    if 'train_dataloader' not in config:
        for key in ('optim_wrapper', 'param_scheduler'):
            config.pop(key, None)
    return config


def needs_mmkd(node: object) -> bool:
    """Return True if any part of a config names something of mmkd."""
    if isinstance(node, dict):
        return any(map(needs_mmkd, node.values()))
    if isinstance(node, list | tuple):
        return any(map(needs_mmkd, node))
    return isinstance(node, str) and node.partition('.')[0] == 'mmkd'
