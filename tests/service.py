"""What Dataflow does with a job, in small: `service.py GRAPH ADDRESS` runs a staged graph on the workers there."""

import sys

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import ExternalEnvironment


def run(path: str, address: str) -> None:
    with open(path, "rb") as file:
        graph = beam_runner_api_pb2.Pipeline.FromString(file.read())
    for environment in graph.components.environments.values():
        environment.CopyFrom(ExternalEnvironment(address).to_runner_api(None))
    FnApiRunner().run_via_runner_api(graph, PipelineOptions()).wait_until_finish()


run(*sys.argv[1:])
