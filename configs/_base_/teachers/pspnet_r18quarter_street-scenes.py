# Train this teacher first; there is no published checkpoint.
teacher = dict(
    config='{{ fileDirname }}/../../demo/teacher.py',
    checkpoint='work_dirs/teacher/iter_400.pth',
)
