"""Model cards: what a set of weights is, what it was trained on, how good it is, where it ends."""

from __future__ import annotations

from typing import Any


def superconductivity_card(name: str, config: dict[str, Any]) -> str:
    """Card of a superconductivity model, from its configuration."""
    v, heads = config["validation"], config["recipe"]["heads"]
    given = ", and N(E_F) of the cell" if config["electronic"] else ""
    taught = (
        f"; and {config['unlabelled_rows']} crystals without labels, metals of the Materials Project (CC BY 4.0) and "
        f"substituted training crystals, which {config['teacher']} labels"
        if config["teacher"]
        else ""
    )
    folds = "out-of-fold predictions of the training buckets and on " if config["calibrated_on_folds"] else ""
    thresholds = "; ".join(f"{float(rate):.1%} at {t:.1f} K" for rate, t in config["thresholds_K"].items())
    return f"""# {name}: lambda, omega_log, omega2 and Tc from the crystal structure{given}

* **What**: {heads["members"]} networks on the pooled atom features of {" and ".join(config["potentials"])}{given};
  logarithms of lambda, omega_log and omega2/omega_log, then Allen-Dynes with f1 and f2 of the mean moments.
* **Data**: {config["training_data"]}; {config["training_rows"]} crystals of up to 18 atoms{taught} (a warning above {config["max_atoms"]}), mu* = 0.10.
* **Split**: {config["split"]}; the shipped weights are trained on all rows.
* **Validation** ({v["n"]} rows): lambda MAE {v["lambda_mae"]:.3f}, omega_log MAE {v["omega_log_mae_K"]:.1f} K, Tc MAE
  {v["tc_mae_K"]:.2f} K, R2 {v["tc_r2"]:.2f}; label above 5 K, predicted Tc above {v["threshold_K"]:.1f} K: precision {v["precision_5K"]:.2f}, true-positive rate
  {v["tpr_5K"]:.2f}, true-negative rate {v["tnr_5K"]:.3f}. Command: `onnes benchmark tc`.
* **Intervals** (90 %, calibrated on {folds}buckets 80-84, scored on 85-89): cover {v["lambda_coverage"]:.1%} of lambda, {v["tc_coverage"]:.1%} of Tc where the predicted Tc is above 1 K. The shipped ones are
  calibrated on 80-89 as well.
* **As a gate at 5 K** (thresholds on the predicted Tc that keep a true-negative rate in each of five folds of the
  training buckets): {thresholds}.
* **Limits**: conventional (electron-phonon) superconductors at ambient pressure; not for magnets, cuprates, iron-based or
  heavy-fermion compounds, hydrides under pressure. No spectra were used, only their moments.
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""


def metal_card(name: str, config: dict[str, Any]) -> str:
    """Card of a metal model, from its configuration."""
    v = config["validation"]
    return f"""# {name}: probability that a crystal is a metal

* **What**: {config["recipe"]["heads"]["members"]} networks on the pooled atom features of {" and ".join(config["potentials"])}.
* **Label**: a metal has a PBE(+U) gap below {config["metal_gap_eV"]} eV.
* **Data**: {config["training_data"]}; {config["training_rows"]} crystals.
* **Split**: {config["split"]}; the shipped weights are trained on all rows.
* **Validation** ({v["n"]:.0f} rows, {v["share_of_metals"]:.0%} metals): ROC-AUC {v["auc"]:.3f}; at probability 0.5 precision
  {v["precision"]:.3f}, recall {v["recall"]:.3f}. Command: `onnes benchmark metal`.
* **Limits**: PBE underestimates gaps; Mott insulators may be called metals.
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""


def formation_card(name: str, config: dict[str, Any]) -> str:
    """Card of a formation-energy model, from its configuration."""
    v = config["validation"]
    return f"""# {name}: formation energy of a composition

* **What**: {config["recipe"]["heads"]["members"]} networks on composition features (tabulated properties of the elements, fractions); no crystal is
  read. The target is the lowest formation energy among the known crystals of a formula.
* **Data**: {config["training_data"]}; {config["training_rows"]} formulas.
* **Split**: {config["split"]}; the shipped weights are trained on all rows.
* **Validation** ({v["n"]:.0f} formulas): MAE {v["mae_eV_per_atom"]:.3f} eV/atom, median error {v["median_error_eV_per_atom"]:.3f}, RMSE
  {v["rmse_eV_per_atom"]:.3f}; linear model of the fractions {v["linear_mae_eV_per_atom"]:.3f}, mean of the data {v["mean_mae_eV_per_atom"]:.3f}. Rank correlation of the spread
  over the networks with the error {v["spread_rank_correlation"]:.2f}.
* **Limits**: energies on the Materials Project's corrected scale, not that of a potential: for ranking compositions, not
  for a hull. What no crystal is known of may have a lower one than the label says.
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""


def generator_card(name: str, config: dict[str, Any]) -> str:
    """Card of a generator of crystals, from its configuration."""
    v, network = config["validation"], config["recipe"]["settings"]["network"]
    start = config["recipe"]["start"]
    further = f", starting from `{start}`" if start else ""
    return f"""# {name}: crystals by diffusion over the parameters that symmetry leaves free

* **What**: a message-passing network ({network["layers"]} layers of width {network["width"]}) that takes noise off lattice parameters, free
  coordinates of Wyckoff positions and elements; {len(config["keys"])} templates (space group and occupied positions) of the training
  crystals and their structure types, the mean coordinates of what at least two crystals share; conditions: ln(1 + Tc / K) as computed, formation energy.
* **Data**: {config["training_data"]}; {config["training_rows"]} crystals of up to {config["recipe"]["max_atoms"]} atoms{further}.
* **Split**: {config["split"]}; the shipped weights are those, not trained again.
* **Validation** ({v["n"]} crystals): loss of the lattice {v["lattice"]:.3f}, of the coordinates {v["slope"]:.3f} (1 is no knowledge), of the elements
  {v["elements"]:.2f} nats (4.5 is no knowledge). What it generates: `onnes benchmark generation`.
* **Limits**: ordered crystals at ambient pressure; templates that it has seen, or none at all (space group 1).
* **Licence**: {config["licence"]}; trained data under CC BY 4.0.
"""
