"""A little Omniglot: the files of the original, with other pictures."""

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SUBSET = 'images_background_small2'
CHARACTERS = dict(Greek=3, Latin=2)


def write_archive(root: Path) -> Path:
    """Strokes that 20 drawers place differently, in the zip as published."""
    rng = np.random.default_rng(0)
    path = root / f'{SUBSET}.zip'
    root.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, 'w') as archive:
        number = 0
        for alphabet, characters in CHARACTERS.items():
            for character in range(1, characters + 1):
                number += 1
                stroke = rng.random((15, 15)) > 0.5
                for drawer in range(1, 21):
                    image = np.ones((105, 105), bool)
                    ink = np.kron(stroke, np.ones((5, 5), bool))
                    y, x = rng.integers(0, 30, 2)
                    image[y : y + 75, x : x + 75] = ~ink
                    file = io.BytesIO()
                    Image.fromarray(image).save(file, 'png')
                    folder = f'{SUBSET}/{alphabet}/character{character:02}'
                    name = f'{folder}/{number:04}_{drawer:02}.png'
                    archive.writestr(name, file.getvalue())
    return path
