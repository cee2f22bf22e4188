"""The stubs as the users' type checkers see them.

The programs under tests/typing are read by mypy and basedpyright, never run: what is right must
pass without a word, and every line marked `rejected` must be reported, and no other. The checkers
read stubs/ itself, whatever is installed.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STUBS = ROOT / "stubs"
PROGRAMS = ROOT / "tests" / "typing"
CHECKED = [PROGRAMS, STUBS / "csqlite"]

# The oldest and the newest Python that both checkers know.
VERSIONS = ["3.10", "3.14"]


def run(command, **kwargs):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy(version, scratch, checked=CHECKED):
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        f"--python-version={version}",
    ]
    command += [
        f"--cache-dir={scratch}",
        "--no-error-summary",
        "--no-pretty",
        "--show-absolute-path",
    ]
    output = run(
        command + [str(path) for path in checked], env={**os.environ, "MYPYPATH": str(STUBS)}
    )
    for file, line, message in re.findall(r"^(.+?):(\d+): error: (.*)$", output, re.MULTILINE):
        yield file, int(line), message


def basedpyright(version, scratch):
    config = scratch / "pyrightconfig.json"
    settings = {
        "include": [str(path) for path in CHECKED],
        "stubPath": str(STUBS),
        "pythonVersion": version,
        "typeCheckingMode": "standard",
        # A checkout holds the stubs before it holds a built extension.
        "reportMissingModuleSource": "none",
    }
    config.write_text(json.dumps(settings))
    output = run([sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(config)])
    for item in json.loads(output)["generalDiagnostics"]:
        yield item["file"], item["range"]["start"]["line"] + 1, item["message"]


@pytest.fixture(scope="module", params=VERSIONS)
def version(request):
    return request.param


@pytest.fixture(scope="module", params=[mypy, basedpyright], ids=lambda checker: checker.__name__)
def report(request, version, tmp_path_factory):
    """What one checker says of all files, as file -> line -> first message; each checker runs once a version."""
    checker = request.param
    if importlib.util.find_spec(checker.__name__) is None:
        pytest.skip(f"{checker.__name__} is not installed")
    files = {}
    for file, line, message in checker(version, tmp_path_factory.mktemp(checker.__name__)):
        files.setdefault(Path(file), {}).setdefault(line, message)
    return files


def listing(messages):
    return "".join(f"\n  line {line}: {message}" for line, message in sorted(messages.items()))


@pytest.mark.parametrize("name", ["dropin.py", "program.py"])
def test_a_right_program_passes(report, name):
    messages = report.get(PROGRAMS / name, {})
    assert not messages, listing(messages)


def test_each_mistake_is_found_and_nothing_else(report):
    path = PROGRAMS / "errors.py"
    lines = path.read_text(encoding="utf-8").splitlines()
    marked = {
        number: line.strip() for number, line in enumerate(lines, 1) if "# rejected: " in line
    }
    messages = report.get(path, {})
    missed = {number: marked[number] for number in marked if number not in messages}
    extra = {number: messages[number] for number in messages if number not in marked}
    assert not missed, "accepted:" + listing(missed)
    assert not extra, "reported without a mark:" + listing(extra)


def test_the_stubs_themselves_pass(report):
    for path, messages in report.items():
        assert path.suffix != ".pyi", f"{path.name}:{listing(messages)}"


def test_the_drop_in_program_is_one(tmp_path):
    """dropin.py passes with aiosqlite's annotations, too: it asks for nothing that they lack."""
    for module in ("mypy", "aiosqlite"):
        pytest.importorskip(module)
    text = (PROGRAMS / "dropin.py").read_text(encoding="utf-8")
    text = text.replace("import csqlite as aiosqlite", "import aiosqlite")
    program = tmp_path / "program.py"
    program.write_text(text.replace("csqlite.context", "aiosqlite.context"), encoding="utf-8")
    messages = {line: message for _, line, message in mypy(VERSIONS[-1], tmp_path, [program])}
    assert not messages, listing(messages)
