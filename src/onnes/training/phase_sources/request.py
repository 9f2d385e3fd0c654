"""Which crystals of a large source are wanted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from onnes.errors import ConfigError

MAX_ATOMS = 60


class PhaseRequest(BaseModel):
    """Selection from a source of known crystals. Frozen.

    Examples
    --------
    >>> PhaseRequest(elements=("Nb", "Be")).wants({"Nb"}, 2, 0.3)
    True
    >>> PhaseRequest(elements=("Nb", "Be"), within_eV_per_atom=0.1).wants({"Nb"}, 2, 0.3)
    False
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    elements: tuple[str, ...] = ()
    """Only crystals made of these elements and no others; all when empty."""
    within_eV_per_atom: float | None = Field(default=None, ge=0)
    """Only crystals that the source puts at most this far above its own hull."""
    max_atoms: int = Field(default=MAX_ATOMS, ge=1)
    """Largest cell."""

    @field_validator("elements")
    @classmethod
    def _real(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        from pymatgen.core import Element

        wrong = [symbol for symbol in elements if not Element.is_valid_symbol(symbol)]
        if wrong:
            raise ConfigError(f"no element is called {', '.join(map(repr, wrong))}; give symbols such as Nb,Hf,Be")
        return tuple(sorted(set(elements)))

    def wants(self, elements: set[str], n_atoms: int, above_hull_eV_per_atom: float | None) -> bool:
        """Whether a crystal of these elements and size, so far above its source's hull (None: not said), is wanted."""
        if n_atoms > self.max_atoms or (self.elements and not elements <= set(self.elements)):
            return False
        limit = self.within_eV_per_atom
        return limit is None or (above_hull_eV_per_atom is not None and above_hull_eV_per_atom <= limit)
