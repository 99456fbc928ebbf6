from mmkd.engine.config import read_config
from mmkd.runs.recipe import recipe
from tests.test_tools.conftest import CONFIGS

(UNLABELED,) = CONFIGS.glob('unlabeled/kd-unlabeled_*.py')


def test_both_kinds_of_images():
    rows = recipe(read_config(UNLABELED))
    expected = 'CamVidDataset, in batches of 8 for each process'
    assert rows['data'] == rows['unlabeled data'] == expected
