"""The structure of docs/architecture.md, held by walking the ASTs; and what must not be imported to print a help."""

import ast
import subprocess
import sys

import pytest

# Lower may not import higher. A module that is missing here fails the test: say where it belongs.
LAYERS = [
    {"errors", "config", "weights_file", "layers", "conv", "compilation_cache", "allocator", "file_jobs"},
    {"images", "samples", "metrics", "resampling", "losses", "vgg", "transform_net", "multistyle"},
    {"terms", "objective", "data", "parallel", "processes", "checkpoint", "resuming", "torch_twin", "optimizers"},
    {"runs", "run_files", "training", "inference", "upscaling", "evaluation", "parity", "convert", "synthesis"},
    {"reproduce", "export", "streaming", "stylizing"},
    {"cli", "__main__", "__init__"},
]
# Third parties and their one importer.
BOUNDARIES = {
    "orbax": {"checkpoint"},
    "grain": {"data"},
    "tensorflow_datasets": {"data"},
    "torch": {"torch_twin", "parity"},
    "flax": {"layers", "transform_net", "vgg"},
    "onnx": {"convert", "export"},
    "onnxruntime": {"export"},
    "h5py": {"convert"},
    "torchfile": {"convert"},
    "tensorflow": {"convert"},
    "safetensors": {"weights_file", "convert"},
    "PIL": {"images", "samples", "data"},
    "tensorboardX": {"run_files"},
}
HEIGHT = {name: i for i, layer in enumerate(LAYERS) for name in layer}


def imports(path):
    """Every module a file names in an import, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "jaxpercept":
                yield from (f"jaxpercept.{alias.name}" for alias in node.names)


def modules(root):
    package = root / "jaxpercept"
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).parts[0].removesuffix(".py"), path


def test_imports_run_one_way(root):
    wrong = []
    for name, path in modules(root):
        assert name in HEIGHT, f"{name} is in no layer of this test and of docs/architecture.md"
        for imported in imports(path):
            parts = imported.split(".")
            if parts[0] == "jaxpercept" and len(parts) > 1 and parts[1] in HEIGHT and HEIGHT[parts[1]] > HEIGHT[name]:
                wrong.append(f"{path.name} imports {imported}")
    assert not wrong


@pytest.mark.parametrize("library", list(BOUNDARIES))
def test_one_module_per_boundary(root, library):
    importers = {name for name, path in modules(root) if library in {i.split(".")[0] for i in imports(path)}}
    assert importers <= BOUNDARIES[library]


def test_losses_know_only_jax(root):
    found = {i.split(".")[0] for i in imports(root / "jaxpercept" / "losses.py")}
    assert found <= {"__future__", "jax", "jaxtyping"}


@pytest.mark.parametrize(
    "line",
    [
        "train style --help",
        "stylize --help",
        "stylize --list-styles",
        "stylize --size 0 x.jpg",
        "train superres --help",
        "train multistyle --help",
        "train multistyle --style-image pyproject.toml --data y --only-new",
        "stylize x.jpg --style starry_night:wave=1",
        "train superres --scale 3 --loss pixel --data y",
        "upscale --help",
        "runs --help",
        "upscale --scale 3 x.jpg",
        "evaluate superres --help",
        "optimize style --help",
        "optimize texture --style none.jpg --layers relu9_9",
        "evaluate superres --scale 3 --data x",
        "train style --style-image x --data y --preset no-such",
        "train superres --scale 2 --loss pixel --data y --distributed two",
        "reproduce --help",
        "reproduce --parts crosing",
        "convert vgg16 no-such-file out",
        "convert transform-net no-such-file out --from lengstrom",
        "",
    ],
)
def test_no_jax_for_help_lists_and_argument_errors(root, line):
    code = (
        f"import sys\nfrom jaxpercept.cli import main\ntry:\n    main({line.split()!r})\n"
        "except SystemExit:\n    pass\nfinally:\n    assert 'jax' not in sys.modules, 'jax was imported'\n"
        "    assert 'PIL' not in sys.modules or 'stylize' in sys.argv\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    import jaxpercept

    assert all(callable(getattr(jaxpercept, name)) for name in jaxpercept.__all__)
    with pytest.raises(AttributeError, match="it has load_image"):
        jaxpercept.no_such_name  # noqa: B018
