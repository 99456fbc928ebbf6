"""Config of a trained network for mmseg's own tools."""

from mmengine.config import Config

# Keys that concern the training and its machine instead of the network.
TRAINING_KEYS = (
    *('teacher', 'distill_losses', 'runner_type'),
    *('unlabeled', 'unlabeled_dataloader'),
    *('work_dir', 'load_from', 'resume', 'launcher'),
)


def plain_config(config: Config) -> Config:
    """Return a config without the distillation and other parts that require mmkd.

    For example, a dataset of mmkd is removed together with the keys that depend on it,
    while the model and the test pipeline are kept. If the network itself requires mmkd,
    only the keys of the training are removed.
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
    """Return True if any part of a config refers to mmkd."""
    if isinstance(node, dict):
        return any(map(needs_mmkd, node.values()))
    if isinstance(node, list | tuple):
        return any(map(needs_mmkd, node))
    return isinstance(node, str) and node.partition('.')[0] == 'mmkd'
