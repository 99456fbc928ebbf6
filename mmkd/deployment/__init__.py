from mmkd import registry  # noqa: F401  first: it names a missing extra
