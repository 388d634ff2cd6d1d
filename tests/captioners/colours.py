"""A WD14 tagger that looks at colours: a tiny ONNX model whose logits are a linear map of the mean colour."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_tagger(folder: Path, side: int, weights: NDArray[np.float32], bias: NDArray[np.float32], tags: str) -> None:
    """`model.onnx` and `selected_tags.csv`; weights (tags 3) meet the mean blue, green and red in [0, 255]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    given = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", side, side, 3])
    answer = helper.make_tensor_value_info("tags", TensorProto.FLOAT, ["n", len(bias)])
    nodes = [
        helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["tags"]),
    ]
    held = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(bias, "bias")]
    graph = helper.make_graph(nodes, "tagger", [given], [answer], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(folder / "model.onnx"))
    (folder / "selected_tags.csv").write_text(tags)
