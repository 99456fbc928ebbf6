from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent.name for path in ROOT.glob('configs/*/metafile.yml'))


@pytest.mark.parametrize('folder', FOLDERS)
def test_metafile(folder):
    """Every config of a folder is listed once, and nothing else is."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert f'configs/{folder}/metafile.yml' in index['Import']

    metafile = yaml.safe_load((ROOT / 'configs' / folder / 'metafile.yml').read_text())
    collections = [collection['Name'] for collection in metafile['Collections']]
    for collection in metafile['Collections']:
        assert (ROOT / collection['README']).is_file()
    listed = [model['Config'] for model in metafile['Models']]
    present = (ROOT / 'configs' / folder).rglob('*.py')
    assert sorted(listed) == sorted(p.relative_to(ROOT).as_posix() for p in present)
    for model in metafile['Models']:
        assert model['Name'] == Path(model['Config']).stem
        assert model['In Collection'] in collections
