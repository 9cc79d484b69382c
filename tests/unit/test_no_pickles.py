"""Nothing of ours opens a pickle or runs a text, and no job starts where a library would."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from semihand.frames.errors import InputError
from semihand.switches import refuse_switches
from semihand.tracking.environment import prepare_environment

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted([*(ROOT / "platform").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")])
FORBIDDEN = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.loads", "_pickle.loads", "dill.load", "dill.loads"),
    *("cloudpickle.load", "cloudpickle.loads", "ray.cloudpickle.load", "ray.cloudpickle.loads", "joblib.load"),
    *("torch.load", "torch.jit.load", "torch.export.load", "torch.hub.load", "torch.package.PackageImporter"),
    *("pandas.read_pickle", "numpy.lib.format.read_array", "shelve.open", "marshal.loads", "marshal.load"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.unsafe_load_all", "yaml.full_load_all"),
    *("mlflow.pyfunc.load_model", "mlflow.pytorch.load_model", "mlflow.sklearn.load_model"),
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "runpy.run_path", "runpy.run_module"),
    *("ray.data.read_numpy", "ray.data.read_webdataset", "ray.data.read_parquet", "transformers.pipeline"),
}
# Where one of them stands, and why it runs nothing.
KNOWN = {
    ("hand/pickles.py", "pickle.Unpickler"),  # the base of the reader that looks names up in a list of its own
    ("frames/sets/files.py", "yaml.load"),  # with a loader of plain values: tests/hostile has a YAML that calls
}


def names_of(tree: ast.Module) -> dict[str, str]:
    """What a module's imports call things, wherever they stand."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name.split(".")[0]: each.name if each.asname else each.name.split(".")[0]
                      for each in node.names}  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return names


def dotted(node: ast.expr, names: dict[str, str]) -> str:
    """`np.load` as `numpy.load`."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, names)}.{node.attr}"
    return names.get(node.id, node.id) if isinstance(node, ast.Name) else "?"


def offences(text: str) -> Iterator[str]:
    """Every mention of something that opens a pickle, called or handed on, and every load that allows one."""
    tree = ast.parse(text)
    names = names_of(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and dotted(node, names) in FORBIDDEN:
            yield dotted(node, names)
        if not isinstance(node, ast.Call):
            continue
        given = {each.arg: ast.unparse(each.value) for each in node.keywords}
        if dotted(node.func, names) == "numpy.load" and given.get("allow_pickle") != "False":
            yield "numpy.load"
        for name in ("allow_pickle", "trust_remote_code", "allow_unsafe"):
            if given.get(name, "False") != "False":
                yield name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import pickle\npickle.loads(b'')", ["pickle.loads"]),
        ("import pickle as p\nread = p.load", ["pickle.load"]),
        ("from torch import load as read\nread('x')", ["torch.load"]),
        ("def f():\n    import joblib\n    return joblib.load('x')", ["joblib.load"]),
        ("import numpy as np\nnp.load('x')", ["numpy.load"]),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", ["numpy.load", "allow_pickle"]),
        ("import numpy as np\nnp.load('x', allow_pickle=False)", []),
        ("import mlflow.pyfunc\nmlflow.pyfunc.load_model('x')", ["mlflow.pyfunc.load_model"]),
        ("import mlflow.pyfunc as served\nserved.load_model('x')", ["mlflow.pyfunc.load_model"]),
        ("eval('1')\nnetwork.eval()", ["eval"]),
        ("import yaml\nyaml.load(text, yaml.SafeLoader)\nyaml.safe_load(text)", ["yaml.load"]),
        ("import re\nre.compile('x')", []),
    ],
)
def test_what_opens_a_pickle_is_found_by_any_name(text, found):
    assert list(offences(text)) == found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_opens_a_pickle_or_runs_a_text(path):
    inside = str(path.relative_to(ROOT / "platform" / "semihand")) if "platform" in path.parts else path.name
    assert {(inside, name) for name in offences(path.read_text())} <= KNOWN


def test_what_is_known_is_still_there():
    package = ROOT / "platform" / "semihand"
    assert {(name, each) for name, _ in KNOWN for each in offences((package / name).read_text())} == KNOWN


SWITCHES = [
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "RAY_DATA_AUTOLOAD_CLOUDPICKLE_TENSOR_METADATA",
    "RAY_DATA_AUTOLOAD_PICKLE_OBJECT_SCALAR", "RAY_DATA_AUTOLOAD_PYEXTENSIONTYPE",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION",
]  # fmt: skip


@pytest.fixture
def _all_off(monkeypatch):
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("value", ["1", "true", "YES", "on", "2"])
@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.usefixtures("_all_off")
def test_a_switch_that_is_on_is_refused_by_name_and_value(name, value, monkeypatch):
    refuse_switches()
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"^{name} is '{value}': .*Unset it"):
        refuse_switches()


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
@pytest.mark.usefixtures("_all_off")
def test_a_switch_that_is_off_is_no_matter(value, monkeypatch):
    for name in SWITCHES:
        monkeypatch.setenv(name, value)
    refuse_switches()


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.py")), ids=lambda path: path.stem)
def test_every_job_goes_through_the_door_that_looks(job):
    assert "run_job(" in job.read_text()


def test_no_job_starts_while_a_switch_is_on(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "jobs" / "check_frames.py"), "--frames", str(tmp_path)],
        env=os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is '1'")


def test_mlflow_is_told_to_open_no_pickle_whatever_the_user_told_it(monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    prepare_environment()
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
