from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_metafiles_hold_results():
    """The index lists the metafiles, each model of which is a config with a result."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    found = sorted(ROOT.glob('configs/*/metafile.yml'))
    assert index == [path.relative_to(ROOT).as_posix() for path in found]
    for path in found:
        metafile = yaml.safe_load(path.read_text())
        for collection in metafile['Collections']:
            assert (ROOT / collection['README']).is_file()
        for model in metafile['Models']:
            assert model['Name'] == Path(model['Config']).stem
            assert (ROOT / model['Config']).is_file()
            assert model['Results']
