"""Figures of a verification: lambda against the smearing, alpha2F, phonons at the computed q points, electrons."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np

from onnes.errors import VerificationError
from onnes.figure import COLOURS, FONT_PT, GREY, INK, clean, composed
from onnes.physics.spectra import ALPHA2F_GRID_MEV, BIN_WIDTH_MEV, accumulated_lambda
from onnes.verify.dos import dos_at
from onnes.verify.pw_output import BOHR_A, XML, PwResult, read_pw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from onnes.verify.result import Coupling, PhononMode, Verification

    Floats = NDArray[np.float64]

LAMBDA_SIGMA, ALPHA2F, PHONONS, DOS, BANDS = "lambda_sigma", "alpha2f", "phonons", "dos", "bands"
_SIZE_IN = (4.8, 3.1)
_BELOW_EV, _ABOVE_EV, _DOS_STEP_EV = 10.0, 4.0, 0.05
_AT_ONCE = 16  # energies: what dos_at needs grows with their number
# Areas in square points: of a mode without coupling, what the strongest has beyond it, of an imaginary mode.
_DOT, _DOT_OF_STRONGEST, _IMAGINARY = 4.0, 90.0, 18.0
_NOTHING = 0.01  # share of the highest value below which a spectrum is not shown any more
_STEPS = "steps"
_LINES = ((COLOURS[0], "-", "o"), (COLOURS[2], "--", "s"), (COLOURS[3], "-.", "^"))
_K_POINTS = "output/band_structure/ks_energies/k_point"
_DOS_STEPS = ("nscf", "scf_dense")  # the denser grid first


def verification_figures(
    verification: Verification, folder: Path | None = None, predicted: Mapping[str, Any] | None = None
) -> dict[str, Figure]:
    """Draw all that a verification has something to show for.

    Parameters
    ----------
    verification
        What is drawn.
    folder
        Folder of the verification, with its steps; without it the figures of the electrons are left out.
    predicted
        What a model says of the same crystal: ``alpha2f`` on the first bins of
        `onnes.physics.spectra.ALPHA2F_GRID_MEV`, ``lambda_``; each may be missing or None.

    Returns
    -------
    dict
        From name to figure, in the order in which they should be shown: ``lambda_sigma``, ``alpha2f``, ``phonons``,
        ``dos``, ``bands``. A figure without data is not there; files that cannot be read are not drawn either.
        Write them with `onnes.figure.save`.

    Examples
    --------
    >>> from onnes.figure import save
    >>> for name, figure in verification_figures(verification, folder).items():  # doctest: +SKIP
    ...     save(figure, f"{name}.svg")
    """
    said = predicted or {}
    figures = {
        LAMBDA_SIGMA: _lambda_sigma(verification, said.get("lambda_")),
        ALPHA2F: alpha2f_figure(_spectra(verification), said.get("alpha2f")),
        PHONONS: _phonons(verification.coupling),
        DOS: None if folder is None else _dos(verification, folder),
        BANDS: None if folder is None else _bands(verification, folder),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def alpha2f_figure(computed: Mapping[str, ArrayLike], predicted: ArrayLike | None = None) -> Figure | None:
    """Draw binned spectra with lambda as accumulated from low frequencies on.

    Parameters
    ----------
    computed
        From name to values on the first bins of `onnes.physics.spectra.ALPHA2F_GRID_MEV`, shape (n,); the first is filled.
    predicted
        The same from a model.

    Returns
    -------
    Figure or None
        None without a spectrum that was computed.
    """
    spectra = {name: np.asarray(one, float) for name, one in computed.items()}
    if not spectra:
        return None
    if predicted is not None:
        spectra["predicted"] = np.asarray(predicted, float)
    with composed(_SIZE_IN) as figure:
        left = figure.add_subplot()
        right = left.twinx()
        for i, (name, spectrum) in enumerate(spectra.items()):
            omega, colour = ALPHA2F_GRID_MEV[: len(spectrum)], COLOURS[1 if name == "predicted" else 2 * i]
            dash = "-" if not i else "--"
            if not i:
                left.fill_between(omega, 0, spectrum, color=colour, alpha=0.25, linewidth=0)
            left.plot(omega, spectrum, color=colour, linestyle=dash, label=name)
            right.plot(omega, accumulated_lambda(omega, spectrum), color=colour, linestyle=dash, linewidth=0.7)
        left.set_xlim(0, _last_meV(spectra.values()))
        left.set_ylim(bottom=0)
        right.set_ylim(bottom=0)
        left.set_xlabel("frequency (meV)")
        left.set_ylabel("α²F, thick lines")
        right.set_ylabel("λ up to the frequency, thin lines")
        left.spines["top"].set_visible(False)
        right.spines["top"].set_visible(False)
        _legend(left)
    return figure


def _spectra(verification: Verification) -> dict[str, Any]:
    couplings = (verification.coupling, verification.interpolated_coupling)
    return {_name(one): one.alpha2f for one in couplings if one is not None and one.alpha2f is not None}


def _last_meV(spectra: Iterable[Floats]) -> float:
    """Where the last spectrum ends."""
    last = 0.0
    for spectrum in spectra:
        above = np.flatnonzero(spectrum > _NOTHING * max(float(spectrum.max()), 1e-12))
        last = max(last, float(ALPHA2F_GRID_MEV[above[-1]]) if len(above) else 0.0)
    return last + 3 * BIN_WIDTH_MEV


def _name(coupling: Coupling) -> str:
    grid = "×".join(map(str, coupling.q_grid))
    return f"q grid {grid}" if coupling.method == "q grid" else f"interpolated from {grid}"


def _lambda_sigma(verification: Verification, predicted: float | None) -> Figure | None:
    couplings = (verification.coupling, verification.coarse_coupling, verification.interpolated_coupling)
    drawn = [one for one in couplings if one is not None and one.curve]
    if not drawn:
        return None
    with composed(_SIZE_IN) as figure:
        axes = clean(figure.add_subplot())
        first = drawn[0]
        if first.plateau_Ry is not None:
            axes.axvspan(*first.plateau_Ry, color=COLOURS[0], alpha=0.15, linewidth=0, label="plateau")
        for coupling, (colour, dash, mark) in zip(drawn, _LINES, strict=False):
            widths, values = zip(*((point.sigma_Ry, point.lambda_) for point in coupling.curve), strict=True)
            axes.plot(widths, values, color=colour, linestyle=dash, marker=mark, markersize=3.5, label=_name(coupling))
        if predicted is not None:
            axes.axhline(predicted, color=COLOURS[1], linestyle=":", label="predicted")
        axes.set_xlim(left=0)
        axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
        axes.set_xlabel("smearing σ (Ry)")
        axes.set_ylabel("λ")
        _legend(axes)
    return figure


def _phonons(coupling: Coupling | None) -> Figure | None:
    if coupling is None or not coupling.modes:
        return None
    points: dict[tuple[float, float, float], list[PhononMode]] = {}
    for mode in coupling.modes:
        points.setdefault(mode.q, []).append(mode)
    order = sorted(points, key=lambda q: (round(float(np.linalg.norm(q)), 6), q))
    top = max(*(mode.lambda_ for mode in coupling.modes), 1e-12)
    with composed(_SIZE_IN) as figure:
        axes = clean(figure.add_subplot())
        real = [
            (i, m.frequency_THz, _area(m, top)) for i, q in enumerate(order) for m in points[q] if m.frequency_THz >= 0
        ]
        imaginary = [(i, m.frequency_THz) for i, q in enumerate(order) for m in points[q] if m.frequency_THz < 0]
        if real:
            x, y, area = zip(*real, strict=True)
            axes.scatter(x, y, s=area, color=COLOURS[0], alpha=0.55, linewidths=0)
        if imaginary:
            axes.scatter(*zip(*imaginary, strict=True), s=_IMAGINARY, color=COLOURS[1], marker="D", label="imaginary")
        if any(mode.lambda_ > 0 for mode in coupling.modes):
            axes.scatter(
                [], [], s=_DOT + _DOT_OF_STRONGEST, color=COLOURS[0], alpha=0.55, linewidths=0, label=f"λ = {top:.2g}"
            )
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.set_xticks(
            range(len(order)), [_q_label(q) for q in order], rotation=35, ha="right", fontsize=FONT_PT - 1.5
        )
        axes.set_xlim(-0.6, len(order) - 0.4)
        axes.set_xlabel("q (2π/alat)")
        axes.set_ylabel("frequency (THz)")
        _legend(axes)
    return figure


def _area(mode: PhononMode, strongest: float) -> float:
    return _DOT + _DOT_OF_STRONGEST * max(mode.lambda_, 0.0) / strongest


def _q_label(q: tuple[float, float, float]) -> str:
    return "Γ" if not any(q) else " ".join(f"{x:.3g}" for x in q)


def _dos(verification: Verification, folder: Path) -> Figure | None:
    bands = _read(folder, _DOS_STEPS)
    if bands is None or verification.fermi_eV is None:
        return None
    top = float(bands.eigenvalues_eV[:, -1].min()) - verification.fermi_eV  # above it bands are missing
    energies = np.arange(-_BELOW_EV, min(_ABOVE_EV, top), _DOS_STEP_EV)
    if not len(energies):
        return None
    pieces = np.array_split(energies + verification.fermi_eV, max(1, len(energies) // _AT_ONCE))
    density = np.concatenate([dos_at(bands, piece) for piece in pieces])
    with composed(_SIZE_IN) as figure:
        axes = clean(figure.add_subplot())
        axes.fill_between(energies, 0, density, color=COLOURS[0], alpha=0.25, linewidth=0)
        axes.plot(energies, density, color=COLOURS[0])
        axes.axvline(0, color=INK, linewidth=0.8, linestyle="--")
        if verification.dos_ef_states_per_eV is not None:
            axes.plot([0], [verification.dos_ef_states_per_eV], "o", color=COLOURS[1], markersize=4, label="N(E_F)")
            _legend(axes)
        axes.set_xlim(energies[0], energies[-1])
        axes.set_ylim(0, 1.15 * max(float(density.max()), 1e-9))
        axes.set_xlabel("E − E_F (eV)", parse_math=False)
        axes.set_ylabel("states per eV and cell, both spins")
    return figure


def _bands(verification: Verification, folder: Path) -> Figure | None:
    """Bands along the path of high symmetry."""
    result = _read(folder, ("bands",))
    axis = None if result is None else _path_axis(folder / _STEPS / "bands" / XML, result)
    if result is None or axis is None or verification.fermi_eV is None:
        return None
    distances, places, labels = axis
    with composed(_SIZE_IN) as figure:
        axes = clean(figure.add_subplot())
        for piece in np.split(np.arange(len(distances)), np.flatnonzero(np.diff(distances) == 0) + 1):
            energies = result.eigenvalues_eV[piece] - verification.fermi_eV
            axes.plot(distances[piece], energies, color=COLOURS[0], linewidth=0.9)
        for place in places:
            axes.axvline(place, color=GREY, linewidth=0.5)
        axes.axhline(0, color=INK, linewidth=0.8, linestyle="--")
        axes.set_xticks(places, labels)
        axes.set_xlim(distances[0], distances[-1])
        axes.set_ylim(-_BELOW_EV, _ABOVE_EV)
        axes.set_ylabel("E − E_F (eV)", parse_math=False)
    return figure


def _path_axis(path: Path, result: PwResult) -> tuple[Floats, list[float], list[str]] | None:
    """Distances along the path (n,), and places and labels of its corners; where it jumps, two points share a place."""
    from ase.cell import Cell
    from ase.dft.kpoints import BandPath

    output = ET.parse(path).getroot()  # noqa: S314 - written by the program that we started
    points = np.array([(one.text or "").split() for one in output.findall(_K_POINTS)], float)
    structure = output.find("output/atomic_structure")
    if structure is None or points.shape != (len(result.eigenvalues_eV), 3):
        return None
    alat_A = BOHR_A * float(structure.get("alat", "nan"))
    cell = Cell(result.lattice)
    try:
        special = cell.bandpath(npoints=0).special_points
    except RuntimeError:  # ASE knows no path for such a cell
        special = {}
    axis = BandPath(cell, kpts=points / alat_A @ result.lattice.T, special_points=special).get_linear_kpoint_axis()
    distances, corners, names = axis
    merged: dict[float, str] = {}
    for place, name in zip(corners.tolist(), names, strict=True):
        label = name.replace("G", "Γ") if name in special else ""
        merged[place] = f"{merged[place]}|{label}" if place in merged else label
    return distances, list(merged), list(merged.values())


def _read(folder: Path, steps: Iterable[str]) -> PwResult | None:
    """Bands of the first of these steps that left any."""
    for step in steps:
        try:
            return read_pw(folder / _STEPS / step / XML, self_consistent=False)
        except VerificationError:
            continue
    return None


def _legend(axes: Axes) -> None:
    """Above the frame, where no curve is, and without a box: the page may be dark."""
    handles, names = axes.get_legend_handles_labels()
    if names:
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        axes.legend(
            handles,
            names,
            ncols=min(len(names), 2 if len(names) == 4 else 3),
            frameon=False,
            fontsize=FONT_PT - 1,
            **place,
        )
