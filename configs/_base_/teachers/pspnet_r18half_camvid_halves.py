# Two teachers for half of the classes each. Train them first; there are no published
# checkpoints. None leaves a class out, which the teacher does not know.
teacher = dict(
    scene=dict(
        config='{{ fileDirname }}/../../several_teachers/'
        'pspnet_r18half-d8_1xb8-1000_camvid-scene-240x240.py',
        checkpoint='work_dirs/pspnet_r18half-d8_1xb8-1000_camvid-scene-240x240/'
        'iter_1000.pth',
        class_map={
            'pole': None,
            'sign symbol': None,
            'fence': None,
            'car': None,
            'pedestrian': None,
            'bicyclist': None,
        },
    ),
    objects=dict(
        config='{{ fileDirname }}/../../several_teachers/'
        'pspnet_r18half-d8_1xb8-1000_camvid-objects-240x240.py',
        checkpoint='work_dirs/pspnet_r18half-d8_1xb8-1000_camvid-objects-240x240/'
        'iter_1000.pth',
        class_map={
            'sky': None,
            'building': None,
            'road': None,
            'pavement': None,
            'tree': None,
        },
    ),
)
