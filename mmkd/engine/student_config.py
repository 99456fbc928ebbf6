"""The plain student's config, out of a distillation's."""

from mmengine.config import Config


def is_distillation(config: Config) -> bool:
    """Whether a config's model is a Distiller."""
    return config.model.get('type') in ('mmkd.Distiller', 'Distiller')


def student_config(config: Config) -> Config:
    """Copies a config with the lone student as its model; others are copied as is.

    For testing and inference: neither needs a teacher. The student's has no filename,
    under which the Runner would overwrite the record of the distillation.
    """
    if not is_distillation(config):
        return Config(config.to_dict(), filename=config.filename)
    return Config({**config.to_dict(), 'model': config.model.student.to_dict()})


def standalone_student(config: Config) -> Config:
    """The student's config without a word of mmkd, for mmseg's own tools.

    What only mmkd can build, a data set of its own say, is left out with what depends
    on it; the model and the test pipeline always stay. Where the network itself is one
    of mmkd's, all stays, and so does the import of mmkd.
    """
    config = student_config(config)
    for name in ('distill_losses', 'teacher'):
        config.pop(name, None)
    if needs_mmkd(config.model):
        return config
    config.pop('custom_imports', None)
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
    """Whether anything of mmkd's is named anywhere in a part of a config."""
    if isinstance(node, dict):
        return any(needs_mmkd(value) for value in node.values())
    if isinstance(node, list | tuple):
        return any(needs_mmkd(value) for value in node)
    return isinstance(node, str) and node.startswith('mmkd.')
