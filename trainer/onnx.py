"""A model as one ONNX file, fp32 or int8, with any batch and length; shared weights are stored once."""

import contextlib
import io
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from corpus.terminal import UserError
from trainer.head import Body, TaskModel
from trainer.texts import Inputs

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
PATIENCE = 5.0  # seconds of one figure of the latency table
NEEDED = "pip install -c constraints.txt '.[export]'"


class Graph(nn.Module):
    """What is exported: (B, S) ids, mask, types -> logits of the task, or states."""

    def __init__(self, made: TaskModel | Body):
        super().__init__()
        self.made = made

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)
        return self.made(Inputs(input_ids, attention_mask, positions, token_type_ids))


def needed():
    """(onnx, onnxruntime). Errors: UserError if they are not installed."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"ONNX needs the package {error.name}; {NEEDED}") from None
    return onnx, onnxruntime


def write(made: TaskModel | Body, path: str) -> None:
    """The model in fp32. Errors: UserError."""
    needed()
    output = "logits" if isinstance(made, TaskModel) else "last_hidden_state"
    example = tuple(torch.ones(2, 9, dtype=torch.long) for _ in INPUTS)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=made_positions(made))
    with quietly():
        torch.onnx.export(
            Graph(made).eval(), example, path, input_names=list(INPUTS), output_names=[output], dynamo=True,
            dynamic_shapes={name: {0: batch, 1: length} for name in INPUTS}, external_data=False,
        )  # fmt: skip


def made_positions(made: TaskModel | Body) -> int:
    return (made.body if isinstance(made, TaskModel) else made).config.positions


@contextlib.contextmanager
def quietly():
    """The exporters print and warn of things that are none of the user's business."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def quantize(path: str, target: str) -> None:
    """The int8 file of an fp32 one: weights of matrix products and embeddings in 8 bits, products of activations
    quantized as they come. onnxruntime's own simplification goes first: it folds the transpositions between weights
    and products, without which only the embedding is quantized."""
    onnx, runtime = needed()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quietly():
        simple = os.path.join(folder, "simple.onnx")
        options = runtime.SessionOptions()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = simple
        options.log_severity_level = 3
        runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(simple)
        del graph.graph.value_info[:]  # shapes of before, at which the quantizer stumbles
        onnx.save(graph, simple)
        quantize_dynamic(simple, target, weight_type=QuantType.QInt8, per_channel=False)


def session(path: str, threads: int = 0):
    """threads: 0 for as many as the runtime likes. Errors: UserError."""
    _, runtime = needed()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    try:
        return runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has exceptions of its own, one for each cause
        raise UserError(f"{path}: not a model that onnxruntime reads ({str(error).splitlines()[0][:120]})") from None


def model(opened) -> Callable[[Inputs], Tensor]:
    """A session as a function of inputs."""

    def call(inputs: Inputs) -> Tensor:
        fed = (inputs.tokens, inputs.sequences, inputs.types)
        (found,) = opened.run(None, {n: t.cpu().numpy() for n, t in zip(INPUTS, fed, strict=True)})
        return torch.from_numpy(np.array(found))

    return call


def latency(call: Callable[[Inputs], Tensor], batch: int, length: int, size: int, runs: int = 5) -> float:
    """Median milliseconds of a batch of random ids below `size`; fewer runs if they take more than PATIENCE."""
    random = np.random.default_rng(0)
    tokens = torch.from_numpy(random.integers(5, size, (batch, length)))
    ones = torch.ones_like(tokens)
    inputs = Inputs(tokens, ones, torch.arange(length).expand(batch, -1), torch.zeros_like(tokens))
    times: list[float] = []
    with torch.inference_mode():
        call(inputs)
        while len(times) < runs and sum(times) < PATIENCE:
            begun = time.perf_counter()
            call(inputs)
            times.append(time.perf_counter() - begun)
    return float(np.median(times) * 1000)
