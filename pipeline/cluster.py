"""What a job needs to run away from this machine; looked at before anything is written or sent."""

import importlib.util
import os
from collections.abc import Iterable

from corpus import storage
from corpus.terminal import StepError, UserError

NEEDED = ("project", "region", "temp_location")
"""Without a temp_location Beam would make a bucket of its own, under the name of the project."""

PACKAGES = ("setup_file", "sdk_container_image", "extra_packages")
"""Ways by which our own code gets to the workers."""


def is_dataflow(runner: str) -> bool:
    return runner.lower() in ("dataflow", "dataflowrunner")


def check_options(runner: str, options: dict) -> None:
    """Refuse options with which a Dataflow job would fail minutes later, on the workers. options: of Beam, by name."""
    if not is_dataflow(runner):
        return
    try:
        there = importlib.util.find_spec("google.cloud.storage")
    except ModuleNotFoundError:
        there = None
    if not there:
        raise UserError(f"--runner={runner}: Beam's part for Google Cloud is missing; pip install 'apache-beam[gcp]'")
    for name in NEEDED:
        if not options.get(name):
            raise UserError(f"--runner={runner}: needs --project, --region and --temp_location; add --{name}=...")
    if not options["temp_location"].startswith("gs://"):
        raise UserError(f"--temp_location={options['temp_location']}: Dataflow takes a place on gs://; name one")
    if not any(options.get(name) for name in PACKAGES):
        raise UserError(
            f"--runner={runner}: its workers would lack this package; add --setup_file=setup.py "
            "or an image that has it, --sdk_container_image=..."
        )


def whole_path(setup_file: str | None) -> str | None:
    """Beam changes into the folder of the setup file and finds none in the name `setup.py` alone."""
    if setup_file and not os.path.isfile(setup_file):
        raise UserError(f"--setup_file={setup_file}: no such file; name the setup.py of this package")
    return os.path.abspath(setup_file) if setup_file else None


def check_paths(runner: str, paths: Iterable[str]) -> None:
    """Refuse paths that workers on other machines cannot follow; empty ones are none."""
    for path in paths:
        if not path or storage.is_remote(path):
            continue
        if is_dataflow(runner):
            raise UserError(f"{path}: on this machine, where Dataflow's workers see nothing; name a place on gs://")
        if not os.path.isabs(path):
            raise UserError(
                f"{path}: workers of {runner} run in other folders; give the whole path, on a disk that all of them see"
            )


def check_worker(planned: dict, here: dict) -> None:
    """Refuse to work with other code, models or libraries than the run was started with: what it makes would not be
    what the run says it is. Both: names and values of extract.configuration."""
    for name in sorted(planned):
        if here.get(name) != planned[name]:
            raise StepError(
                f"a worker has {name} = {here.get(name)!r}, the run was started with {planned[name]!r}; "
                "give workers the same, say by an image or by --requirements_file with NAME==VERSION"
            )
