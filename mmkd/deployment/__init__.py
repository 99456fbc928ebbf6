from mmkd import registry  # noqa: F401  first: it says which extra is missing
