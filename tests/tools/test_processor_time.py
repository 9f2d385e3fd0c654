import os
import subprocess
import sys
from pathlib import Path

import pytest

from onnes.tools.processor_time import group_seconds, own_seconds

BURN = """
import os, subprocess, sys, time
def burn(seconds):
    while time.process_time() < seconds: pass
if len(sys.argv) > 1:
    burn(0.3)
else:
    subprocess.run([sys.executable, sys.argv[0], "child"], check=True)
    beside = subprocess.Popen([sys.executable, sys.argv[0], "child"])
    burn(0.3)
    os.waitid(os.P_PID, beside.pid, os.WEXITED | os.WNOWAIT)
    print("done", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_the_time_of_a_group_is_that_of_all_its_processes(tmp_path):
    program = tmp_path / "burn (1) 2.py"  # a name that a careless reader of /proc stumbles over
    program.write_text(BURN)
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout.readline() == b"done\n"
        alone = group_seconds(os.getpgrp())
        assert 0.85 <= group_seconds(running.pid) < 5
        running.communicate(b"")
    assert group_seconds(running.pid) == 0.0
    assert group_seconds(os.getpgrp()) >= alone > 0


def test_own_time_grows_with_that_of_children_that_have_ended():
    before = own_seconds()
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert own_seconds() - before >= 0.29


def test_where_nothing_is_told_of_processes_there_is_no_number(monkeypatch, tmp_path):
    from onnes.tools import processor_time

    monkeypatch.setattr(processor_time, "_PROCESSES", tmp_path)
    assert group_seconds(os.getpgrp()) is None
