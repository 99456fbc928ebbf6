"""Generate street scenes in the layout of Cityscapes, a dataset without download.

A scene is the view of a camera along a street: ground, houses, street furniture,
traffic and people are polygons in meters, painted from far to near; texture, haze and
light are added afterwards. Scene i of a split always contains class i % 19.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from rich.progress import track

SPLITS = ('train', 'val')
CLASSES = (  # in the order of Cityscapes' train ids
    *('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'light', 'sign'),
    *('vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck', 'bus'),
    *('train', 'motorcycle', 'bicycle'),
)
ROUGHNESS = dict.fromkeys(CLASSES, 0.12) | dict(vegetation=0.5, terrain=0.4, sky=0.05)
NEAR, FAR = 2.0, 90.0  # meters
TURNS = np.linspace(0, 2 * np.pi, 16, endpoint=False)
DISC = np.stack([np.cos(TURNS), np.sin(TURNS)], 1) / 2 + 0.5
TRIANGLE = np.array([(0, 0), (1, 0), (0.5, 1)])
WHITE, BLACK, RED = (235, 235, 235), (22, 22, 22), (40, 40, 220)
CAR = [(0, 0.15), (1, 0.15), (1, 0.5), (0.8, 0.58), (0.66, 1), (0.02, 1), (0, 0.6)]


def rect(left=0.0, low=0.0, right=1.0, high=1.0) -> np.ndarray:
    """Return a rectangle in the coordinates (0 to 1) of a face."""
    return np.array([(left, low), (right, low), (right, high), (left, high)])


def upright(x, z, width, height, lift=0.0) -> np.ndarray:
    """Return a face toward the camera, centered at x: its corner and two edges."""
    return np.array([(x - width / 2, lift, z), (width, 0, 0), (0, height, 0)])


def lying(left, right, start=NEAR, length=3 * FAR) -> np.ndarray:
    """Return a face on the ground."""
    return np.array([(left, 0, start), (right - left, 0, 0), (0, 0, length)])


class Scene:
    """Canvas with a camera.

    The axes of the world point right, up and ahead; the origin is on the ground below
    the camera. Everything is painted at twice the size to smooth the edges.
    """

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.rng, self.shape = rng, (2 * height, 2 * width)
        self.image = np.zeros((*self.shape, 3), np.uint8)
        self.labels = np.full(self.shape, CLASSES.index('sky'), np.uint8)
        self.depth = np.full(self.shape, 3 * FAR, np.float32)
        self.focal = 2 * width * rng.uniform(0.7, 1.0)
        self.camera = rng.uniform(1.3, 2.0)  # meters above the ground
        self.center = np.array(self.shape[::-1]) * rng.uniform([0.3, 0.4], [0.7, 0.5])
        self.roll, self.sun = rng.normal(0, 0.02), rng.choice([-1, 1])

    def color(self, hue=(0, 180), saturation=(0, 220), value=(25, 240)) -> np.ndarray:
        """Return a random color within ranges of OpenCV's 8-bit HSV."""
        hsv = [self.rng.uniform(*ends) for ends in (hue, saturation, value)]
        return cv2.cvtColor(np.uint8([[hsv]]), cv2.COLOR_HSV2BGR)[0, 0].astype(float)

    def paint(self, name, color, face, shape=None, alpha=1.0) -> None:
        """Paint a shape on a face, or all of it; without a name, keep the label."""
        x, y, z = (face[0] + (rect() if shape is None else shape) @ face[1:]).T
        z, y = z.clip(NEAR), self.camera - y
        flat = np.stack([x + self.roll * y, y - self.roll * x]) * self.focal / z
        flat = [np.int32((flat.T + self.center).clip(-1e5, 1e5) * 16)]
        canvas = self.image if alpha == 1 else self.image.copy()
        cv2.fillPoly(canvas, flat, tuple(map(float, color)), cv2.LINE_8, 4)
        if alpha < 1:
            cv2.addWeighted(canvas, alpha, self.image, 1 - alpha, 0, self.image)
        if name:
            label = CLASSES.index(name) if name in CLASSES else 255
            cv2.fillPoly(self.labels, flat, label, cv2.LINE_8, 4)
            cv2.fillPoly(self.depth, flat, z.mean(), cv2.LINE_8, 4)

    def noise(self, *cells: int) -> np.ndarray:
        """Return smooth noise of mean 0: octaves with these numbers of cells."""
        grids = [self.rng.normal(size=(count // 2 + 1, count)) for count in cells]
        octaves = [cv2.resize(g, self.shape[::-1], interpolation=2) for g in grids]
        return sum(octaves)[..., None] / len(cells) ** 0.5

    def finish(self, noise: float) -> tuple[np.ndarray, np.ndarray]:
        """Add texture, haze, light, blur and noise; return image and labels."""
        rng, depth = self.rng, self.depth[..., None]
        rough = np.array([*ROUGHNESS.values(), *[0.1] * 237])[self.labels][..., None]
        near, far = self.noise(16, 60, 160), self.noise(40, 130, 260)
        image = self.image * (1 + rough * np.where(depth < 15, near, far)).clip(0.2)
        haze = 1 - np.exp(-depth / rng.uniform(60, 600))
        haze[self.labels == CLASSES.index('sky')] = 0
        image += haze * (image[: self.shape[0] // 4].mean((0, 1)) - image)
        warmth, brightness = rng.uniform([-0.12, 0.55], [0.12, 1.15])
        image *= [brightness * (1 - warmth), brightness, brightness * (1 + warmth)]
        image *= 1 + 0.15 * self.noise(3, 5)
        image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.2, 0.8))
        image += rng.normal(0, noise + rng.uniform(1, 6), image.shape)
        return image.clip(0, 255).astype(np.uint8), self.labels[::2, ::2]


def ground(scene: Scene, left: float, right: float, outer: np.ndarray) -> None:
    """Paint sky, terrain, sidewalks, road markings and the shadow of the houses."""
    rng, sky = scene.rng, scene.color((95, 115), (0, 150), (120, 255))
    fade = np.linspace(0, 1, scene.shape[0])[:, None, None]
    sky = sky * (1 - fade) + 235 * fade + 35 * scene.noise(4, 9, 20).clip(0)
    scene.image[:] = sky.clip(0, 255)
    grass = scene.color((18, 38), (60, 140), (60, 150))
    scene.paint('terrain', grass, lying(-300, 300))
    paving = scene.color((0, 40), (0, 50), (90, 180))
    scene.paint('sidewalk', paving, lying(*outer))
    scene.paint('sidewalk', 0.7 * paving, lying(left - 0.2, right + 0.2))
    asphalt = scene.color(saturation=(0, 35), value=(60, 130))
    scene.paint('road', asphalt, lying(left, right))
    for start in np.arange(NEAR, FAR, 6):
        middle = (left + right) / 2
        scene.paint('road', WHITE, lying(middle, middle + 0.15, start, 3))
    crossing = rng.uniform(7, 50)
    for x in np.arange(left + 0.3, right - 0.5, 1.0) if crossing < 25 else ():
        scene.paint('road', WHITE, lying(x, x + 0.5, crossing, 3))
    houses, reach = right if scene.sun > 0 else left, rng.uniform(0, right - left)
    shade = lying(houses + 12 * scene.sun, houses - reach * scene.sun)
    scene.paint(None, BLACK, shade, alpha=rng.uniform(0, 0.6))


def facades(scene: Scene, side: int, line: float, must: str) -> None:
    """Paint houses, walls, fences, hedges and gaps along one side, and trees behind."""
    rng, light = scene.rng, 0.7 if side == scene.sun else 1.0
    names = np.array(['building', 'wall', 'fence', 'vegetation', 'terrain'])
    odds = np.array([0.46, 0.17, 0.17, 0.13, 0.07]) + 0.5 * (names == must)
    for z in np.arange(FAR, 5, -12):
        tree(scene, side * (line + rng.uniform(5, 14)), z)
    lengths = rng.uniform(5, 16, 12)
    for length, z in zip(lengths[::-1], np.cumsum(lengths)[::-1] - 14, strict=True):
        name = rng.choice(names, p=odds / odds.sum())
        high = rng.uniform(5, 18) if name == 'building' else rng.uniform(1.4, 3)
        face = np.array([(side * line, 0, z), (0, 0, length), (0, high, 0)])
        if name == 'building':
            plaster = light * scene.color(saturation=(0, 110), value=(70, 230))
            scene.paint(name, 0.8 * plaster, upright(side * (line + 6), z, 12, high))
            scene.paint(name, plaster, face)
            glass = scene.color((90, 120), (0, 100), (20, 190))
            grid = np.array([max(length // 2.5, 1), high // 3])
            for cell in np.ndindex(*grid.astype(int)):
                pane = (rect(0.25, 0.3, 0.75, 0.8) + cell) / grid
                scene.paint(name, glass, face, pane)
        elif name in ('wall', 'fence'):
            hue = (2, 14) if name == 'wall' else (14, 30)
            stone = light * scene.color(hue, (60, 150), (60, 200))
            scene.paint(name, stone, face, alpha=1.0 if name == 'wall' else 0.15)
            scene.paint(name, 0.7 * stone, face, rect(low=0.9))
            for start in np.arange(0, 1, 0.6 / length) if name == 'fence' else ():
                scene.paint(name, stone, face, rect(start, 0, start + 0.12 / length))
        elif name == 'vegetation':
            for start in np.arange(z + length, z, -2.5):
                tree(scene, side * (line + 1), start, rng.uniform(1.5, 6), trunk=0.0)


def tree(scene: Scene, x, z, size=0.0, trunk=0.3, name='vegetation') -> None:
    """Paint a trunk and a crown of overlapping leaves; without a trunk, a bush."""
    rng, size = scene.rng, size or scene.rng.uniform(4, 11)
    leaf = scene.color((35, 65), (70, 190), (40, 140))
    scene.paint(name, (45, 60, 75), upright(x, z, trunk, size * 0.6))
    for _ in range(7):
        wide, high, low = size * rng.uniform([0.3, 0.3, trunk], [0.6, 0.6, 0.6])
        crown = upright(x + size * rng.normal(0, 0.15), z, wide, high, low)
        scene.paint(name, leaf * rng.uniform(0.7, 1.3), crown, DISC)


def post(scene: Scene, x, z, name) -> None:
    """Paint a lamp post, or a lower post with a traffic light or sign at its top."""
    rng, high = scene.rng, scene.rng.uniform(2.5, 4)
    steel = scene.color(saturation=(0, 40), value=(50, 150))
    scene.paint('pole', steel, upright(x, z, 0.2, high * (1 + (name == 'pole'))))
    lit, hues = rng.integers(3), (RED, (30, 190, 250), (90, 230, 60))
    if name == 'light':
        box = upright(x, z, 0.5, 1.3, high - 0.4)
        scene.paint(name, BLACK, box)
        scene.paint(name, hues[lit], box, DISC * [0.6, 0.25] + [0.2, 0.68 - 0.31 * lit])
    elif name == 'sign':
        box, plate = upright(x, z, 1, 1, high - 0.5), (DISC, rect(), TRIANGLE)[lit]
        scene.paint(name, (RED, (190, 90, 30), RED)[lit], box, plate)
        scene.paint(name, WHITE, box, plate * 0.6 + 0.2)


def person(scene: Scene, x, z, name='person', lift=0.0) -> None:
    """Paint a pedestrian, or a rider on a vehicle of ``lift`` meters height."""
    step, trousers, coat = scene.rng.uniform(0, 0.25), scene.color(), scene.color()
    body = upright(x, z, 0.6, scene.rng.uniform(1.5, 1.9) - 0.4 * lift, lift)
    for foot, hip in ((0.3 - step, 0.25), (0.5 + step, 0.5)):
        leg = [(foot, 0), (foot + 0.2, 0), (hip + 0.25, 0.5), (hip, 0.5)]
        scene.paint(name, trousers, body, np.array(leg))
    chest = [(0.2, 0.45), (0.8, 0.45), (0.95, 0.8), (0.05, 0.8)]
    scene.paint(name, coat, body, np.array(chest))
    skin = scene.color((5, 14), (60, 150), (70, 230))
    scene.paint(name, skin, body, DISC * [0.34, 0.16] + [0.33, 0.83])


def cycle(scene: Scene, x, z, name) -> None:
    """Paint a bicycle or motorcycle, seen from the side or from behind."""
    motor, along = name == 'motorcycle', scene.rng.random() < 0.5
    face = upright(x, z, (1.8 if along else 0.5) + 0.3 * motor, 1.1)
    for start in (0, 0.58) if along else (0.38,):
        wheel = DISC * [0.42 if along else 0.25, 0.62] + [start, 0]
        scene.paint(name, BLACK, face, wheel, 0.9 if motor else 0.6)
    frame = [(0.2, 0.3), (0.75, 0.3), (0.85, 0.95), (0.7, 0.7), (0.15, 0.75)]
    scene.paint(name, scene.color(), face, np.array(frame), 1.0 if motor else 0.7)


def rider(scene: Scene, x, z, name) -> None:
    """Paint a rider on a bicycle or motorcycle."""
    person(scene, x, z + 0.02, name, lift=0.55)
    cycle(scene, x, z, scene.rng.choice(['bicycle', 'motorcycle']))


VEHICLES = {  # size in meters; outline; windows and their number; hues of the paint
    'car': ((1.8, 1.5, 4.3), np.array(CAR), (0.1, 0.66, 0.66, 0.92), 2, (0, 180)),
    'truck': ((2.5, 3.3, 8.0), rect(low=0.13), (0.84, 0.5, 0.97, 0.75), 1, (90, 150)),
    'bus': ((2.5, 3.0, 11.0), rect(low=0.13), (0.03, 0.5, 0.99, 0.82), 6, (15, 75)),
    'train': ((2.7, 3.6, 28), rect(low=0.13), (0.02, 0.55, 0.99, 0.7), 14, (150, 180)),
}


def vehicle(scene: Scene, x, z, name) -> None:
    """Paint the visible side and the rear with windows, wheels and lamps."""
    size, outline, (left, low, right, high), panes, hues = VEHICLES[name]
    width, height, length = size * scene.rng.uniform(0.9, 1.15, 3)
    coat, glass = scene.color(hues), scene.color((95, 120), (0, 90), (15, 120))
    light = 0.65 if (x > 0) == (scene.sun > 0) else 1.0
    corner = (x - np.sign(x) * width / 2, 0, z)
    side = np.array([corner, (0, 0, length), (0, height, 0)])
    scene.paint(name, BLACK, side, rect(0.03, 0.05, 0.97, 0.2))
    scene.paint(name, light * coat, side, outline)
    if name == 'truck':  # its cab
        scene.paint(name, light * scene.color(), side, rect(0.8, 0.13, 1, 0.85))
    for start in np.linspace(left, right, panes, endpoint=False):
        pane = rect(start, low, start + 0.85 * (right - left) / panes, high)
        scene.paint(name, glass, side, pane)
    for hub in (0.2, 0.8) if name != 'train' else ():
        wheel = DISC * 0.7 / [length, height] + [hub - 0.35 / length, 0]
        scene.paint(name, BLACK, side, wheel)
    rear = upright(x, z, width, height)
    scene.paint(name, BLACK, rear, rect(0.05, 0, 0.95, 0.2))
    scene.paint(name, 0.85 * coat, rear, rect(low=0.15))
    doors, window = rect(0.49, 0.2, 0.51, 0.95), rect(0.12, 0.6, 0.88, 0.9)
    scene.paint(name, glass, rear, doors if name == 'truck' else window)
    for start in (0.05, 0.8):  # from behind, or oncoming
        lamp = rect(start, 0.4, start + 0.15, 0.5)
        scene.paint(name, RED if x > -1 else WHITE, rear, lamp)


def draw(
    height: int, width: int, *seed: int, noise: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return image and labels of a scene with >= 0.1 % of class ``seed[-1] % 19``."""
    must, rng = CLASSES[seed[-1] % len(CLASSES)], np.random.default_rng(seed)
    scene = Scene(rng, height, width)
    curbs, walk = rng.uniform([3.5, 2.2], [9, 6]), rng.uniform(1.5, 4)
    verge = rng.choice([0, 0, rng.uniform(1, 4)])
    outer = curbs + walk + rng.choice([0, verge])  # a verge may be paved
    ground(scene, -curbs[0], curbs[1], outer * [-1, 1])
    for side in (0, 1):
        facades(scene, 2 * side - 1, curbs[side] + walk + verge, must)
    things = []
    for name, mean, paint, *reach in (  # mean number; distance to the curb in meters
        *(('car', 4, vehicle, -3.5, -1.2), ('truck', 0.9, vehicle, -2.5, -1.5)),
        *(('bus', 0.9, vehicle, -2.5, -1.5), ('train', 0.6, vehicle, -2, -1.5)),
        *(('person', 5, person, 0, walk), ('rider', 2, rider, -1.5, -0.3)),
        *(('motorcycle', 1.5, cycle, -0.8, 1), ('bicycle', 1.5, cycle, 0, walk)),
        *(('pole', 4, post, 0.2, 0.3), ('light', 2, post, 0.2, 0.3)),
        *(('sign', 2.5, post, 0.2, 0.3), ('vegetation', 3, tree, walk, 2 * walk)),
    ):
        for _ in range(rng.poisson(mean) + 2 * (name == must)):
            side, z = rng.integers(2), 1 / rng.uniform(1 / 50, 1 / 6)
            x = (2 * side - 1) * (curbs[side] + rng.uniform(*reach))
            things.append((z, x, name, paint))
    for z, x, name, paint in sorted(things, key=lambda thing: -thing[0]):
        wide, _, long = VEHICLES[name][0] if name in VEHICLES else (0.6, 0, 0.5)
        shadow = lying(x - 0.6 * wide, x + 0.6 * wide, z - 0.3, long + 0.4)
        scene.paint(None, BLACK, shadow, alpha=0.4)
        paint(scene, x, z, name=name)
    # The hood of the camera's car, which Cityscapes does not label.
    bottom = scene.camera - NEAR * (2 * height - scene.center[1]) / scene.focal
    bonnet = upright(0, NEAR, 3, 0.4, bottom - 0.3)
    scene.paint('ego vehicle', scene.color(value=(20, 120)), bonnet, DISC)
    image, labels = scene.finish(noise)
    enough = (labels == CLASSES.index(must)).mean() >= 0.001
    return (image, labels) if enough else draw(height, width, 0, *seed, noise=noise)


def write(
    folder: Path, size: list[int], seed: int, noise: int, split: str, number: int
) -> None:
    """Draw a scene and write its image and label."""
    cv2.setNumThreads(0)  # the processes already use all cores
    image, labels = draw(*size, seed, SPLITS.index(split), number, noise=noise)
    kinds = dict(
        leftImg8bit=('leftImg8bit', image), gtFine=('gtFine_labelTrainIds', labels)
    )
    for kind, (suffix, pixels) in kinds.items():
        place = folder / kind / split / 'drawn'
        place.mkdir(parents=True, exist_ok=True)
        name = f'drawn_{number:06d}_000000_{suffix}.png'
        cv2.imwrite(str(place / name), pixels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = partial(parser.add_argument, type=int)
    add('--out', type=Path, default=Path('data/street_scenes'), help='folder')
    add('--size', nargs=2, default=[256, 512], metavar=('HEIGHT', 'WIDTH'))
    add('--train', default=500, help='number of images')
    add('--val', default=100, help='number of images')
    add('--seed', default=0)
    add('--noise', default=0, help='added to the standard deviation of the noise')
    args = parser.parse_args()

    done = args.out / 'scenes.json'  # written last, when the dataset is complete
    settings = {key: value for key, value in vars(args).items() if key != 'out'}
    if not args.noise:
        del settings['noise']  # as in folders that were written without this option
    if done.exists() and json.loads(done.read_text()) == settings:
        return print(f'{args.out} already exists')
    if done.exists():
        parser.error(
            f'{args.out} contains other scenes; delete it or choose another --out'
        )
    with ProcessPoolExecutor() as pool:
        for split in SPLITS:
            job = partial(write, args.out, args.size, args.seed, args.noise, split)
            numbers = range(getattr(args, split))
            scenes = pool.map(job, numbers, chunksize=4)
            list(track(scenes, f'drawing {split}', len(numbers)))
    done.write_text(json.dumps(settings))


if __name__ == '__main__':
    main()
