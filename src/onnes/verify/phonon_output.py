"""What `ph.x` computed at one wave vector: frequencies, star, electron-phonon coupling at every smearing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import constants

from onnes.errors import VerificationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

THZ_PER_RY: float = constants.value("Rydberg constant times c in Hz") * 1e-12
"""THz in one Ry, 3289.842."""
N_ACOUSTIC = 3
ACOUSTIC_LIMIT_THZ = 1.0
"""How far from 0 the acoustic modes at Gamma may lie, real or imaginary, as computed without the sum rule. Seen: 0.05 THz
for Al, 0.5 for Nb, 0.7 for MgB2."""

_NUMBER = r"(-?[\d.]+|\*+)"  # Fortran prints stars where a number does not fit
_WIDTH = re.compile(r"Gaussian Broadening: *([\d.]+) Ry")
_DOS = re.compile(rf"DOS *= *{_NUMBER} *states/spin/Ry/Unit Cell at Ef= *{_NUMBER} *eV")
_MODE = re.compile(rf"lambda\( *(\d+)\)= *{_NUMBER} *gamma= *{_NUMBER} *GHz")
_PER_LINE = 6  # squared frequencies
_SAME_Q = 1e-5  # 2 pi / alat
_SAME_THZ, _SAME_SHARE = 1e-3, 1e-4
_MINUS_STAR = "In addition there is the -q list"


@dataclass(frozen=True, eq=False)
class QPoint:
    """One wave vector of the grid, as `ph.x` computed it. Modes are in rising order of omega^2.

    Attributes
    ----------
    q
        Cartesian, in 2 pi / alat.
    star
        Wave vectors that are equivalent by symmetry or time reversal, ``q`` among them; shape (n, 3).
    frequencies_THz
        Shape (3N,); negative for an imaginary frequency.
    symmetries
        Mulliken symbol of each mode, None where `ph.x` gives none; None when it classified no mode.
    omega2_Ry2
        Squared frequencies, shape (3N,).
    sigmas_Ry
        Widths of the Gaussians that stand for the delta functions at the Fermi level, shape (s,).
    dos
        Density of states at the Fermi level at each width, states per spin, Ry and cell; shape (s,).
    fermi_eV
        Fermi level at each width, shape (s,).
    lambdas
        Coupling of each mode, shape (s, 3N); NaN where the number did not fit into its column.
    gammas_GHz
        Linewidths, shape (s, 3N); NaN likewise.
    """

    q: tuple[float, float, float]
    star: Floats
    frequencies_THz: Floats
    symmetries: tuple[str | None, ...] | None
    omega2_Ry2: Floats
    sigmas_Ry: Floats
    dos: Floats
    fermi_eV: Floats
    lambdas: Floats
    gammas_GHz: Floats

    @property
    def weight(self) -> int:
        """Number of wave vectors of the star."""
        return len(self.star)

    @property
    def is_gamma(self) -> bool:
        """Whether q = 0."""
        return max(map(abs, self.q)) < _SAME_Q

    @property
    def is_acoustic(self) -> NDArray[np.bool_]:
        """The three modes at Gamma that the sum rule sets to 0, those nearest to it; shape (3N,), all False elsewhere."""
        out = np.zeros(len(self.frequencies_THz), bool)
        if self.is_gamma:
            out[np.argsort(np.abs(self.frequencies_THz), kind="stable")[:N_ACOUSTIC]] = True
        return out

    @property
    def is_unstable(self) -> NDArray[np.bool_]:
        """Modes with omega^2 < 0, shape (3N,), but for acoustic ones at Gamma within ``ACOUSTIC_LIMIT_THZ``."""
        noise = self.is_acoustic & (np.abs(self.frequencies_THz) < ACOUSTIC_LIMIT_THZ)
        return (self.omega2_Ry2 < 0) & ~noise


def read_qpoint(ph_output: Path, elph_file: Path) -> QPoint:
    """Read one wave vector from the two files that `ph.x` leaves, and check that they are whole and agree.

    Parameters
    ----------
    ph_output
        Text that `ph.x` printed for this wave vector alone (``start_q = last_q``).
    elph_file
        ``elph_dir/elph.inp_lambda.<i>``.

    Returns
    -------
    QPoint

    Raises
    ------
    VerificationError
        When a file is missing, cut off or of more than one wave vector, or when the two disagree. That the program ended
        with exit code 0 or printed "JOB DONE" is not enough: it does so without convergence, too.

    Notes
    -----
    The frequencies, the star and the symmetries are read by ASE; its reader passes over negative values of lambda and
    over the -q half of the star of crystals without inversion, so those are read here.
    """
    text, written = _read(ph_output), _read(elph_file)
    found = _single(ph_output, text)
    frequencies = _frequencies(ph_output, found)
    star = _star(ph_output, text, found)
    printed = _couplings(ph_output, text[text.index("electron-phonon interaction") :], len(frequencies))
    q_kept, omega2, kept = _elph_file(elph_file, written)
    if not re.search(r"^ *JOB DONE", text, re.MULTILINE):
        raise VerificationError(_incomplete(ph_output, "the line JOB DONE is missing"))
    _check_agreement(ph_output, elph_file, (found["qpoint"], frequencies, printed), (q_kept, omega2, kept))
    x, y, z = found["qpoint"]
    return QPoint(
        (x, y, z),
        star,
        frequencies,
        _symmetries(found.get("mode_symmetries"), len(frequencies)),
        omega2,
        kept.sigmas,
        kept.dos,
        kept.fermi,
        kept.lambdas,
        kept.gammas,
    )


def read_q_list(dyn0: Path) -> tuple[tuple[int, int, int], list[tuple[float, float, float]]]:
    """Read the list of wave vectors that `ph.x` writes with the first of them (``<fildyn>0``).

    Parameters
    ----------
    dyn0
        The file.

    Returns
    -------
    grid, q
        Divisions of the grid; one wave vector of each star, Cartesian, in 2 pi / alat.

    Raises
    ------
    VerificationError
        When the file is missing or not whole.
    """
    lines = _read(dyn0).split("\n")
    try:
        a, b, c = (int(word) for word in lines[0].split())
        count = int(lines[1])
        points = []
        for line in lines[2 : 2 + count]:
            x, y, z = (float(word) for word in line.split())
            points.append((x, y, z))
    except (ValueError, IndexError) as error:
        raise VerificationError(f"{dyn0} is no list of q points: {error}; run the first q point again") from error
    if min(a, b, c, count) < 1 or len(points) < count:
        raise VerificationError(f"{dyn0} holds {len(points)} of {count} q points; run the first q point again")
    return (a, b, c), points


class _Couplings(NamedTuple):
    """The blocks of one wave vector, one for each smearing."""

    sigmas: Floats
    dos: Floats
    fermi: Floats
    lambdas: Floats
    gammas: Floats


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise VerificationError(f"{path} cannot be read ({error.strerror}): run this q point") from error


def _incomplete(path: Path, what: str) -> str:
    return f"{path} is incomplete: {what}; run this q point again"


def _single(path: Path, text: str) -> dict[str, Any]:
    """The one wave vector of an output, as ASE reads it."""
    from ase.io.espresso import read_espresso_ph

    if "No convergence has been achieved" in text:
        raise VerificationError(_incomplete(path, "the linear response did not converge"))
    if "electron-phonon interaction" not in text:
        last = "frequencies" if re.search(r"^ *freq \(", text, re.MULTILINE) else "set-up"
        raise VerificationError(_incomplete(path, f"no electron-phonon coupling; it ends after the {last}"))
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            found = read_espresso_ph(lines)
    except (LookupError, ValueError, TypeError, AttributeError) as error:  # it reads on where the text ends
        raise VerificationError(_incomplete(path, f"it cannot be read ({error})")) from error
    if len(found) != 1:
        raise VerificationError(f"{path} holds {len(found)} q points: give the output of one, start_q = last_q")
    return next(iter(found.values()))


def _frequencies(path: Path, found: dict[str, Any]) -> Floats:
    frequencies = np.asarray(found["freqs"] if found.get("freqs") is not None else (), float)
    if not len(frequencies) or len(frequencies) % 3 or not np.isfinite(frequencies).all():
        raise VerificationError(_incomplete(path, f"{len(frequencies)} frequencies"))
    return frequencies


def _star(path: Path, text: str, found: dict[str, Any]) -> Floats:
    star = np.asarray(found["eqpoints"] if found.get("eqpoints") is not None else (), float).reshape(-1, 3)
    counts = [int(word) for word in re.findall(r"Number of q in the star = *(\d+)", text)]
    if len(counts) < 2 or not len(star) or len(star) != counts[-1]:
        raise VerificationError(_incomplete(path, "the star of q is not printed, which `ph.x` does twice"))
    return np.concatenate([star, -star]) if _MINUS_STAR in text else star


def _elph_file(path: Path, text: str) -> tuple[Floats, Floats, _Couplings]:
    """q, omega^2 (3N,) and the blocks of an ``elph.inp_lambda`` file."""
    lines = text.split("\n")
    try:
        *q, n_sigma, n_modes = (float(word) for word in lines[0].split())
        rows = -(-int(n_modes) // _PER_LINE)
        omega2 = np.array([float(word) for line in lines[1 : 1 + rows] for word in line.split()])
    except (ValueError, IndexError) as error:
        raise VerificationError(_incomplete(path, f"its head cannot be read ({error})")) from error
    if len(q) != 3 or len(omega2) != n_modes:
        raise VerificationError(_incomplete(path, f"{len(omega2)} of {n_modes:.0f} squared frequencies"))
    blocks = _couplings(path, text, int(n_modes))
    if len(blocks.sigmas) != n_sigma:
        raise VerificationError(_incomplete(path, f"{len(blocks.sigmas)} of {n_sigma:.0f} smearings"))
    return np.array(q), omega2, blocks


def _couplings(path: Path, text: str, n_modes: int) -> _Couplings:
    starts = [match.start() for match in _WIDTH.finditer(text)]
    rows = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        block = text[start:end]
        width, dos, modes = _WIDTH.search(block), _DOS.search(block), _MODE.findall(block)
        if width is None or dos is None or [int(mode[0]) for mode in modes] != list(range(1, n_modes + 1)):
            sigma = width[1] if width else "?"
            raise VerificationError(
                _incomplete(path, f"at the smearing of {sigma} Ry it has {len(modes)} of {n_modes} modes")
            )
        lambdas, gammas = ([_float(mode[i]) for mode in modes] for i in (1, 2))
        rows.append((float(width[1]), _float(dos[1]), _float(dos[2]), lambdas, gammas))
    if not rows:
        raise VerificationError(_incomplete(path, "no smearing"))
    return _Couplings(*(np.array(column, float) for column in zip(*rows, strict=True)))


def _float(word: str) -> float:
    return np.nan if word.startswith("*") else float(word)


def _symmetries(labels: dict[tuple[int, ...], str] | None, n_modes: int) -> tuple[str | None, ...] | None:
    """The first word of each label: ``E_2g G_6+ R`` is E_2g, Raman active."""
    if not labels:
        return None
    out: list[str | None] = [None] * n_modes
    for modes, label in labels.items():
        word = (label.split() or [""])[0].strip("?")
        for mode in modes:
            if word and mode <= n_modes:
                out[mode - 1] = word
    return tuple(out)


def _check_agreement(
    ph_output: Path, elph_file: Path, printed: tuple[Any, Floats, _Couplings], kept: tuple[Floats, Floats, _Couplings]
) -> None:
    """Refuse an ``elph.inp_lambda`` file that another run left."""
    (q, frequencies, blocks), (q_kept, omega2, blocks_kept) = printed, kept
    what = ""
    if np.abs(np.asarray(q, float) - q_kept).max() > _SAME_Q:
        what = f"q is {tuple(q)} and {tuple(q_kept.tolist())}"
    elif len(frequencies) != len(omega2):
        what = f"{len(frequencies)} and {len(omega2)} modes"
    elif not np.allclose(frequencies, signed_THz(omega2), rtol=_SAME_SHARE, atol=_SAME_THZ):
        what = f"frequencies differ by up to {np.abs(frequencies - signed_THz(omega2)).max():.3g} THz"
    else:
        for name, one, two in zip(_Couplings._fields, blocks, blocks_kept, strict=True):
            if one.shape != two.shape or not np.allclose(one, two, rtol=_SAME_SHARE, atol=_SAME_SHARE, equal_nan=True):
                what = f"{name} differ"
                break
    if what:
        raise VerificationError(f"{ph_output} and {elph_file} are of different runs: {what}; run this q point again")


def signed_THz(omega2_Ry2: Floats) -> Floats:
    """Frequencies (THz) of squared frequencies (Ry^2), negative where those are.

    Examples
    --------
    >>> signed_THz(np.array([-1e-6, 4e-6])).round(3).tolist()
    [-3.29, 6.58]
    """
    return np.sign(omega2_Ry2) * np.sqrt(np.abs(omega2_Ry2)) * THZ_PER_RY
