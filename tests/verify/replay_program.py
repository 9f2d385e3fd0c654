"""Plays recorded outputs of Quantum ESPRESSO; stands in for its programs in tests.

Called as ``replay_program.py <program> <folder> [-in <file>]``. The folder has ``plan.json`` with the recordings, the crystal
and, by step, what each start of it plays: ``ok``, ``kill`` (itself), ``hang``, ``orphan`` (kills who started it, stays),
``interrupt`` (the same with SIGINT), ``nothing`` (says that all is well, leaves no file) or the name of a recorded fault.
Every start is written down in ``starts``.
"""

import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

PROGRAM, HOME = sys.argv[1], Path(sys.argv[2])
PLAN = json.loads((HOME / "plan.json").read_text())
RECORDED = Path(PLAN["recorded"])
FAULTS = RECORDED / "faults"
RECORD = b"\x04\x00\x00\x00four\x04\x00\x00\x00"  # a whole record of a Fortran unformatted file


def say(path):
    sys.stdout.write(path.read_text())
    sys.stdout.flush()


def play_fault(name):
    say(FAULTS / name / "out.txt")
    crash = FAULTS / name / "CRASH"
    if crash.exists():
        shutil.copyfile(crash, "CRASH")
    code = json.loads((FAULTS / name / "meta.json").read_text())["exit_code"]
    if code < 0:
        os.kill(os.getpid(), -code)
        time.sleep(60)
    sys.exit(code)


def save(text):
    scratch = Path(re.search(r"outdir\s*=\s*'(.*?)'", text)[1])
    folder = scratch / "onnes.save"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PLAN["xml"], folder / "data-file-schema.xml")
    for name in ("charge-density.dat", "wfc1.dat"):
        (folder / name).write_bytes(RECORD)
    if "la2f" in text.lower():
        (scratch / "onnes.a2Fsave").write_text("dense")


def pw(text):
    calculation = re.search(r"calculation\s*=\s*'(.*?)'", text)[1]
    say(FAULTS / f"pw-{calculation}" / "out.txt")


def ph(text):
    scratch = Path(re.search(r"outdir\s*=\s*'(.*?)'", text)[1])
    if not (scratch / "onnes.save").exists():
        play_fault("ph-empty-outdir")
    if not (scratch / "onnes.a2Fsave").exists():
        play_fault("ph-no-a2fsave")
    (scratch / "_ph0").mkdir()
    number, grid = (re.search(rf"{name}\s*=\s*(\d+)", text)[1] for name in ("start_q", "nq1"))
    folder = RECORDED / f"{PLAN['crystal']}{grid}"
    shutil.copyfile(folder / "x.dyn0", "dyn0")
    Path(f"dyn{number}").write_text("dynamical matrix")
    shutil.copyfile(folder / f"elph.inp_lambda.{number}", f"elph_dir/elph.inp_lambda.{number}")
    say(folder / f"ph{number}.out")


def q2r(_):
    assert len([path for path in Path().glob("dyn?") if path.name != "dyn0"]) == PLAN["q_points"]
    Path("force_constants").write_text("force constants")
    say(FAULTS / "q2r" / "out.txt")


def matdyn(_):
    assert Path("force_constants").exists()
    for path in (RECORDED / "al2").glob("a2F.dos*"):
        shutil.copyfile(path, path.name)
    shutil.copyfile(RECORDED / "al2" / "lambda", "lambda")
    say(FAULTS / "matdyn" / "out.txt")


def main():
    if "-in" not in sys.argv:
        sys.stdout.write("     Program PWSCF v.6.7MaX starts on 1Jan2000\n")
        return
    source, step = Path(sys.argv[sys.argv.index("-in") + 1]), Path.cwd().name
    starts = HOME / "starts"
    earlier = starts.read_text().split().count(step) if starts.exists() else 0
    with starts.open("a") as file:
        file.write(f"{step}\n")
    (HOME / "pid").write_text(str(os.getpid()))
    planned = PLAN["steps"].get(step, [])
    action = planned[earlier] if earlier < len(planned) else "ok"
    text = source.read_text()
    if PROGRAM == "pw" and action != "nothing":
        save(text)
    if action in ("ok", "nothing"):
        {"pw": pw, "ph": ph, "q2r": q2r, "matdyn": matdyn}[PROGRAM](text)
        if action == "nothing" and PROGRAM == "ph":
            shutil.rmtree("elph_dir")
    elif action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action in ("hang", "orphan", "interrupt"):
        if action != "hang":
            os.kill(os.getppid(), signal.SIGKILL if action == "orphan" else signal.SIGINT)
        time.sleep(600)
    else:
        play_fault(action)


main()
