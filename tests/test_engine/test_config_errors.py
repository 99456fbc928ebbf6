import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, DefaultScope, Registry

from mmkd.distillation.tapped_loss import TappedLoss
from mmkd.engine.config_errors import naming_keys
from mmkd.errors import UserError

THINGS = Registry('thing')


class Base:
    def __init__(self, width=1):
        pass


@THINGS.register_module()
class Part(Base):
    def __init__(self, depth=1, **kwargs):
        super().__init__(**kwargs)


def build(**part):
    config = Config(dict(model=dict(parts=[dict(part)])))
    with naming_keys(config):
        return THINGS.build(config.model.parts[0])


def test_nothing_wrong():
    assert isinstance(build(type='Part', depth=2, width=2), Part)


@pytest.mark.parametrize('like', ['depth', 'width'])
def test_key(like):
    """The key is of the class, or of one that it passes arguments to."""
    with pytest.raises(UserError) as raised:
        build(type=Part, **{like[:-1]: 2})
    error = f'model.parts.0.{like[:-1]}: unknown key of Part; did you mean {like}?'
    assert str(raised.value) == error


def test_key_of_a_type_that_a_registry_names():
    config = Config(dict(hook=dict(type='LoggerHook', intervall=2)))
    with pytest.raises(UserError) as raised, naming_keys(config):
        HOOKS.build(config.hook)
    error = 'hook.intervall: unknown key of LoggerHook; did you mean interval?'
    assert str(raised.value) == error


def test_type():
    with pytest.raises(UserError, match=r"^model.parts.0.type: unknown type 'Prat'"):
        build(type='Prat')


@THINGS.register_module()
class Extra:
    def __init__(self, error):
        raise error


@pytest.mark.parametrize('kind', [AssertionError, ImportError, RuntimeError])
def test_missing_package(kind):
    """As mmseg's networks that need mmdet, or the compiled operators of mmcv."""
    message = r'^a part of the config needs a package: .*Please install mmdet'
    with pytest.raises(UserError, match=message):
        build(type='Extra', error=kind('Please install\nmmdet'))
    with pytest.raises(kind, match='no package'):
        build(type='Extra', error=kind('no package'))


def test_mistake_that_is_not_in_the_config():
    with pytest.raises(TypeError, match='hight'), naming_keys(Config(dict(a=1))):
        THINGS.build(dict(type='Part', hight=2))


def test_mistake_during_the_run():
    """An error during a run is a bug, even if a key has that name."""
    with pytest.raises(TypeError, match='hight'), naming_keys(Config(dict(hight=1))):
        Part(hight=1)


@pytest.mark.parametrize('error', [KeyError(), KeyError('a'), TypeError('a')])
def test_other_errors(error):
    with pytest.raises(type(error)) as raised, naming_keys(Config(dict(a=1))):
        raise error
    assert raised.value is error


@pytest.mark.parametrize('scope', [None, 'mmkd', 'mmseg', 'mmpretrain'])
@pytest.mark.parametrize(
    ('loss', 'key', 'like'),
    [
        (dict(type='KDLoss', temperature=2.0), 'temperature', None),
        (dict(type='CWDLoss', class_balanced=True), 'class_balanced', None),
        (dict(type='KDLoss', standardise=True), 'standardise', 'standardize'),
        (dict(type='mmkd.CWDLoss', loss_weigth=2.0), 'loss_weigth', 'loss_weight'),
        (dict(type='DKDLoss', ignore_idx=3), 'ignore_idx', 'ignore_index'),
        (
            dict(type='KDLoss', divergence=dict(type='BalancedKL', revers_weight=2)),
            'divergence.revers_weight',
            'reverse_weight',
        ),
        (dict(type='KDLoss', schedule=dict(warm=0.1)), 'schedule.warm', 'warmup'),
    ],
)
def test_key_of_a_loss(scope, loss, key, like):
    with (
        DefaultScope.overwrite_default_scope(scope),
        pytest.raises(UserError) as raised,
    ):
        TappedLoss('loss_kd', loss)
    error = str(raised.value)
    kind = loss['type'].removeprefix('mmkd.') if '.' not in key else ''
    assert error.startswith(f'distill_losses.loss_kd.{key}: unknown key of {kind}')
    if like is None:
        assert ', standardize, tau, ' in error
    else:
        assert error.endswith(f'; did you mean {like}?')
