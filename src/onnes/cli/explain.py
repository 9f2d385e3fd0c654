"""Command on crystals in hand: explain."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnes.cli.options import EXIT_PARTIAL, Device, Files, Json, Model, Quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnes.tools.explain import CrystalExplanation


def explain(
    files: Files,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Draw a figure of each crystal: .svg or .png; several crystals are numbered."),
    ] = None,
    model: Model = "structure",
    device: Device = "cpu",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Explain a predicted Tc (K): what each site contributes, nearest known crystals, effect of replaced elements."""
    from onnes.tools.explain import explain as run
    from onnes.tools.progress import Bars

    with Bars(quiet=quiet or json) as bars:
        bars.bar("explain", None)
        found = run(files, model=model, figure=out, device=device, on_rows=bars.rows_done)
    if json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        sys.stdout.write("\n".join(line for crystal in found.crystals for line in _lines(crystal)) + "\n")
    if found.n_failed:
        raise typer.Exit(EXIT_PARTIAL)


def _lines(crystal: CrystalExplanation) -> Iterator[str]:
    """Explain one crystal in plain text."""
    yield f"{crystal.id}  {crystal.formula}" + (f"  space group {crystal.space_group}" if crystal.space_group else "")
    if crystal.error is not None:
        yield f"  error: {crystal.error}"
        return
    said, base = crystal.predicted, crystal.baseline
    yield (
        f"  Tc {said['tc_K']:.1f} ± {said['tc_K_std']:.1f} K (90 %: {said['tc_lo_K']:.1f} to {said['tc_hi_K']:.1f}, "
        f"mu* {said['mu_star']:.2f}), lambda {said['lambda_']:.2f} ± {said['lambda_std']:.2f}, "
        f"omega_log {said['omega_log_K']:.0f} ± {said['omega_log_K_std']:.0f} K"
    )
    for remark in (said["warnings"], *crystal.notes):
        if remark:
            yield f"  note: {remark}"
    yield (
        f"  Sites: what they add to the average training crystal "
        f"(Tc {base['tc_K']:.1f} K, lambda {base['lambda_']:.2f}, omega_log {base['omega_log_K']:.0f} K)"
    )
    yield f"    {'site':<10}{'Tc (K)':>10}{'ln lambda':>12}{'ln omega_log':>14}"
    for site in crystal.sites:
        name = f"{site.element} {site.multiplicity}{site.letter}"
        yield f"    {name:<10}{site.tc_K:>+10.2f}{site.ln_lambda:>+12.3f}{site.ln_omega_log:>+14.3f}"
    if crystal.neighbours:
        yield "  Nearest known crystals (distance: 1 is the edge of the domain)"
    for near in crystal.neighbours:
        tc = "no Tc listed" if near.tc_K is None else f"Tc {near.tc_K:.1f} K {near.tc_kind}"
        yield f"    {near.formula:<14}{near.distance:>6.2f}  {tc:<22}{near.id}, {near.source}"
    if crystal.replacements:
        yield "  Replaced elements, unrelaxed: Tc (K) and its change (* outside the domain)"
    for element in dict.fromkeys(row.element for row in crystal.replacements):
        rows = [row for row in crystal.replacements if row.element == element]
        cells = [
            f"{row.replacement} "
            + ("–" if row.tc_K is None else f"{row.tc_K:.1f} ({row.tc_change_K:+.1f})")
            + ("*" if row.in_domain is False else "")
            for row in rows
        ]
        yield f"    {element:<2} -> " + ", ".join(cells)
    if crystal.figure:
        yield f"  figure: {crystal.figure}"


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(explain)
