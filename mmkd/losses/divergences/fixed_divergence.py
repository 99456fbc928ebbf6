"""Base class of divergences."""

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn


class FixedDivergence(nn.Module):
    """A function of :mod:`mmkd.functional` with fixed arguments.

    A loss calls it with its own temperature ``tau``, on standardized logits if the loss
    standardizes.

    Attributes:
        function: The function; its arguments are those of the class, and the student's
            and the teacher's logits, ``tau`` and ``dim``.
        names: Names of the arguments, which are attributes of an instance.
    """

    function: ClassVar[Callable[..., Tensor]]
    names: ClassVar[tuple[str, ...]] = ()

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments of the function, named as in ``functools.partial``."""
        return {name: getattr(self, name) for name in self.names}

    def forward(
        self, student: Tensor, teacher: Tensor, tau: float | Tensor = 1.0, dim: int = 1
    ) -> Tensor:
        """Return the divergence of every position, of the shape without ``dim``."""
        return self.function(student, teacher, tau=tau, dim=dim, **self.keywords)

    def extra_repr(self) -> str:
        """Format the arguments for ``print``."""
        return ', '.join(f'{name}={value}' for name, value in self.keywords.items())
