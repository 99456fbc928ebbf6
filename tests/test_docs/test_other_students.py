"""The students of the page on own networks, from the lines that it changes."""

import re

import pytest

from mmkd.engine.config import read_config
from mmkd.engine.num_classes import check_num_classes, heads_of
from mmkd.registry import MODELS

from .blocks import FILE, read_blocks
from .clone import REPO

PAGE = REPO / 'docs/own_networks_and_data.md'
PUBLISHED = re.findall(r'mmseg::[\w/.-]+\.py', PAGE.read_text())


class Data:
    metainfo = dict(classes=('ground', 'road', 'car'))


@pytest.mark.parametrize('base', PUBLISHED, ids=lambda base: base.partition('/')[2])
def test_student(tmp_path, base):
    for block in read_blocks(PAGE):
        file = FILE.match(block.text)
        if file and file['name'] in ('my_data.py', 'my_student.py'):
            text = block.text.replace(PUBLISHED[0], base)
            if 'segformer' in base and file['name'] == 'my_student.py':
                text = re.sub(r'^for item.*\n.*\n|^del item\n', '', text, flags=re.M)
                text += "model.test_cfg = dict(mode='whole')\n"
            (tmp_path / file['name']).write_text(text)
    config = read_config(tmp_path / 'my_student.py')
    assert config.train_dataloader.dataset.type == 'BaseSegDataset'
    assert config.val_dataloader.dataset.data_root == 'data/my_data'
    kinds = [each.type for each in config.train_dataloader.dataset.pipeline]
    assert ('GenerateEdge' in kinds) == ('pidnet' in base)
    assert config.model.test_cfg == dict(mode='whole')
    config.model.backbone.init_cfg = None
    network = MODELS.build(config.model)
    check_num_classes(network, Data())
    assert [head.num_classes for _, head in heads_of(network)] == [3]
