"""A Quantum ESPRESSO that plays recordings, for tests of everything around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from onnes.verify.chain import Crystal, verify
from onnes.verify.settings import RunSettings, VerifySettings
from tests.verify.recordings import RECORDED
from tests.verify.samples import upf_1

BOHR_A = 0.529177210903
XML = RECORDED / "pw" / "data-file-schema.xml"
AL = Crystal(3.75 * BOHR_A * np.array([[0.0, 1, 1], [1, 0, 1], [1, 1, 0]]), [[0, 0, 0]], [13])
# with as little repulsion Tc is some kelvin, whose few Matsubara frequencies are quickly summed
SETTINGS = {"functional": "LDA", "relax": False, "ecutwfc_Ry": 15, "k_grid": (8, 8, 8), "mu_stars": (0.0, 0.02)}
DRIVER = """\
import json, sys
from pathlib import Path
from onnes.verify.settings import RunSettings, VerifySettings
from tests.verify.replay import AL
from onnes.verify.chain import verify
verify(AL, VerifySettings(**json.loads(sys.argv[1])), Path(sys.argv[2]), run=RunSettings(**json.loads(sys.argv[3])))
"""


class Replay:
    """Programs in a folder, the plan of what they play, and the folder of the verifications."""

    def __init__(self, home: Path) -> None:
        self.home, self.work = home, home / "work"
        self.commands = {}
        for name in ("pw", "ph", "q2r", "matdyn"):
            program = home / f"{name}.x"
            script = Path(__file__).with_name("replay_program.py")
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{script}" {name} "{home}" "$@"\n')
            program.chmod(0o755)
            self.commands[f"{name}_command"] = str(program)
        pseudos = home / "pseudos"
        pseudos.mkdir()
        (pseudos / "Al.pz-vbc.UPF").write_bytes(upf_1("Al", functional=" SLA  PZ   NOGX NOGC"))
        self.plan()

    def plan(self, *, crystal: str = "al", xml: Path = XML, q_points: int = 3, **steps: list[str]) -> None:
        """Say what is played from now on; starts are counted anew."""
        content = {
            "recorded": str(RECORDED),
            "crystal": crystal,
            "xml": str(xml),
            "q_points": q_points,
            "steps": {name.replace("q_", "phonons_2x2x2_0"): played for name, played in steps.items()},
        }
        (self.home / "plan.json").write_text(json.dumps(content))
        (self.home / "starts").unlink(missing_ok=True)

    def run(self, *, run=None, crystal: Crystal = AL, on_step=lambda _: None, **settings):
        """Verify, here."""
        merged = VerifySettings(**(SETTINGS | settings))
        return verify(crystal, merged, self.work, run=RunSettings(**(self.commands | (run or {}))), on_step=on_step)

    def begin(self, *, run=None, **settings) -> subprocess.Popen[bytes]:
        """Verify in a process of its own."""
        arguments = [json.dumps(SETTINGS | settings), str(self.work), json.dumps(self.commands | (run or {}))]
        root = Path(__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *arguments], cwd=root, env=os.environ, start_new_session=True
        )

    def starts(self) -> list[str]:
        """Steps in the order in which programs were started for them."""
        path = self.home / "starts"
        return path.read_text().split() if path.exists() else []

    @property
    def pid(self) -> int:
        """Of the program that was started last."""
        return int((self.home / "pid").read_text())

    def place(self, step: str) -> Path:
        """Folder of a step."""
        (found,) = self.work.glob(f"*/steps/{step}")
        return found

    def source(self, step: str, number: int) -> str:
        """Input of a try."""
        return (self.place(step) / f"try-{number}.in").read_text()
