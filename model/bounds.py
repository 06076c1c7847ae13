"""Checks of the numbers of a spec."""


def at_least(spec: object, **least: int | float) -> None:
    """Raises ValueError if a field of a spec is below the least value given for it."""
    for field, bound in least.items():
        value = getattr(spec, field)
        if not value >= bound:
            raise ValueError(f"{type(spec).__name__}.{field} is {value}; it is at least {bound}")


def above(spec: object, **bounds: int | float) -> None:
    """Raises ValueError if a field of a spec is not above the value given for it."""
    for field, bound in bounds.items():
        value = getattr(spec, field)
        if not value > bound:
            raise ValueError(f"{type(spec).__name__}.{field} is {value}; it is above {bound}")
