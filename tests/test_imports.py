"""The structure of docs/architecture.md, checked by walking the ASTs, and the imports that must not
happen for `--help`.
"""

import ast
import subprocess
import sys

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError

# The rooms, from the ground up: each may import those before it.
ROOMS = (
    "errors",
    "files",
    "config",
    "runtime",
    "images",
    "data",
    "nets",
    "losses",
    "inference",
    "training",
    "synthesis",
    "interop",
    "bulk",
    "evaluation",
    "cli",
    "__main__",
    "__init__",
)
# Third parties and the modules that may import them.
BOUNDARIES = {
    "orbax": {"training.checkpoint"},
    "grain": {"data"},
    "tensorflow_datasets": {"data.packing", "data.tfds"},
    "torch": {"evaluation.torch_twin", "evaluation.parity"},
    "flax": {"nets.layers", "nets.module", "nets.vgg"},
    "onnx": {"interop"},
    "onnxruntime": {"interop.runtimes.onnxruntime"},
    "openvino": {"interop.runtimes.openvino"},
    "h5py": {"interop.convert"},
    "tensorflow": {"interop.convert"},
    "safetensors": {"nets.weights_file", "interop.convert"},
    "PIL": {"images", "data"},
    "tifffile": {"images.float_tiff"},
    "av": {"inference.containers"},
    "cv2": {"inference.optical_flow"},
    "tensorboardX": {"training.log"},
    "ray": {"bulk.cluster"},
    "pyarrow": {"bulk"},
}


def modules(root):
    """Returns every module of the package by its dotted name below `jaxpercept`, with its file."""
    package = root / "jaxpercept"
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts), path


def imports(path):
    """Returns every module that a file names in an import, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module.split(".")[0] == "jaxpercept":
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(root):
    """Returns, for each module of the package, the modules that it imports."""
    known = dict(modules(root))
    names = {
        name: {i.removeprefix("jaxpercept.") for i in imports(path)} for name, path in known.items()
    }
    return {name: {i for i in found if i in known and i != name} for name, found in names.items()}


def circle(edges):
    """Returns a list of nodes that lead back to the first, or None."""
    done = set()

    def visit(node, way):
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return None
        found = next((f for n in sorted(edges[node]) if (f := visit(n, [*way, node]))), None)
        done.add(node)
        return found

    return next((f for node in sorted(edges) if (f := visit(node, []))), None)


def test_imports_run_one_way(root):
    height = {name: i for i, name in enumerate(ROOMS)}
    wrong = []
    for name, found in graph(root).items():
        room = name.split(".")[0]
        assert room in height, f"{room} is no room of this test and of docs/architecture.md"
        wrong += [f"{name} imports {i}" for i in found if height[i.split(".")[0]] > height[room]]
    assert not wrong


def test_the_module_graph_has_no_circle(root):
    edges = {name: found for name, found in graph(root).items() if name != "__init__"}
    # A package's `__init__` re-exports its own modules, which may name the package's other modules.
    own = {
        n: {i for i in f if not n.startswith(f"{i}.") and i != "__init__"} for n, f in edges.items()
    }
    assert circle(own) is None
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize("library", list(BOUNDARIES))
def test_one_module_per_boundary(root, library):
    allowed = BOUNDARIES[library]
    for name, path in modules(root):
        if library in {i.split(".")[0] for i in imports(path)}:
            assert any(name == a or name.startswith(f"{a}.") for a in allowed), name


def test_shapes_are_checked_in_tests():
    """The hook in conftest names modules: after a move it would check nothing."""
    from jaxpercept.nets import layers

    with pytest.raises(TypeCheckError):
        layers.depth_to_space(jnp.zeros((2, 2)), 2)


def test_losses_know_only_jax(root):
    found = {i.split(".")[0] for i in imports(root / "jaxpercept" / "losses" / "functions.py")}
    assert found <= {"__future__", "jax", "jaxtyping"}


LINES = (
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
    "upscale --scale 9 x.jpg",
    "evaluate superres --help",
    "optimize style --help",
    "optimize texture --style none.jpg --layers relu9_9",
    "evaluate superres --scale 3 --data x",
    "train style --style-image x --data y --preset no-such",
    "train superres --scale 2 --loss pixel --data y --distributed two",
    "train superres --scale 2 --loss pixel --data y --init no-such",
    "train style --style-image x --data y --teacher no-such",
    "reproduce --help",
    "bulk stylize --help",
    "bulk upscale --scale 9 x.jpg",
    "bulk stylize x.jpg --task-size 0",
    "reproduce --parts crosing",
    "convert vgg16 no-such-file out",
    "convert transform-net no-such-file out --from lengstrom",
    "",
)
CODE = f"""
import contextlib, io, sys
from jaxpercept.cli import main
for line in {LINES!r}:
    before = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(line.split())
        except SystemExit:
            pass
    assert "jax" not in sys.modules, "jax was imported by: " + line
    new = set(sys.modules) - before
    assert "PIL" not in new or "stylize" in line, "PIL was imported by: " + line
"""


def test_no_jax_for_help_lists_and_argument_errors(root):
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there():
    import jaxpercept

    assert all(callable(getattr(jaxpercept, name)) for name in jaxpercept.__all__)
    with pytest.raises(AttributeError, match="it has load_image"):
        jaxpercept.no_such_name  # noqa: B018


def test_type_checkers_see_every_public_name(root):
    import jaxpercept

    package = root / "jaxpercept"
    tree = ast.parse((package / "__init__.py").read_text())
    (seen,) = (node for node in tree.body if isinstance(node, ast.If))
    found = {alias.asname: (alias.name, node.module) for node in seen.body for alias in node.names}
    home = {name: (name, f"jaxpercept.{room}") for name, room in jaxpercept._HOME.items()}
    assert found == home
    assert (package / "py.typed").is_file()
