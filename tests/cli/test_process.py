import json
import subprocess
import sys

import pytest

from lorair_cli.cli.process import started_processes
from lorair_cli.errors import UsageError

PROBE = """
import json, os, resource
{prepare}
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**20)
before = faults()
for _ in range(40):
    np.ones(2**20)
print(json.dumps([faults() - before, os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OMP_WAIT_POLICY")]))
"""
PREPARE = "from lorair_cli.cli.process import prepare_process; prepare_process()"


def probe(prepare=PREPARE, **environment):
    """Page faults of forty blocks of 8 MiB, taken and freed in turn, and the settings of OpenMP."""
    code = PROBE.format(prepare=prepare)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_kept_for_reuse():
    without, *_ = probe(prepare="")
    kept, *_ = probe()
    assert kept < without / 10
    theirs, *_ = probe(MALLOC_MMAP_THRESHOLD_="131072")
    assert kept < theirs / 10, "what the user has set stays"  # how many faults huge pages save, varies


def test_threads_wait_a_little_unless_the_user_says_how():
    assert probe()[1:] == ["10000", None]
    assert probe(OMP_WAIT_POLICY="ACTIVE")[1:] == [None, "ACTIVE"]
    assert probe(GOMP_SPINCOUNT="7")[1:] == ["7", None]


@pytest.mark.parametrize(("text", "processes"), [(None, 1), ("", 1), (" ", 1), ("1", 1), (" 4 ", 4)])
def test_processes_that_a_launcher_started(text, processes, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if text is not None:
        monkeypatch.setenv("WORLD_SIZE", text)
    assert started_processes() == processes


@pytest.mark.parametrize("text", ["abc", "0", "-1", "1.5", "²"])
def test_a_number_of_processes_that_is_none_is_one_line(text, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", text)
    with pytest.raises(UsageError, match=rf"WORLD_SIZE is '{text}'") as error:
        started_processes()
    assert error.value.hint == "unset WORLD_SIZE"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_whoever_started_the_program_has_closed_is_an_empty_one(closed, tmp_path):
    command = f"{sys.executable} -m lorair_cli classify - --json {'' if closed == '<&-' else '< /dev/null'} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert done.returncode == 1 and "Traceback" not in done.stderr + done.stdout
