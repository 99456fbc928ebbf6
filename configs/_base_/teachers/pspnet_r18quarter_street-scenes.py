# Train it first: nobody publishes this one.
teacher = dict(
    config='{{ fileDirname }}/../../demo/teacher.py',
    checkpoint='work_dirs/teacher/iter_400.pth',
)
