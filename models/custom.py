"""A network of the user's own, or of a KerasTuner hypermodel, in the form that all of ours have."""

from __future__ import annotations

from typing import Any

import keras

from models.ending import network_output
from models.errors import ModelError
from models.flattening import flat_network
from models.hypermodel import hypermodel_network
from models.spec import CustomSpec, ModelSpec
from models.user_code import blamed, load_function, outputs_argument


def custom_model(spec: ModelSpec) -> keras.Model:
    """Build a network that is not of the registry.

    The user's function is called with the input shape and its parameters, a hypermodel with its
    hyperparameters. What it returns is taken apart into its layers and made anew, weights included, so that
    nothing is shared between two builds. It may return, from one input of the patch's shape, one output:

    - a feature map (batch, h, w, channels), or more than two features (batch, n): our head comes on top, with
      no dense layer unless `spec.head` names some;
    - one unit (batch, 1): log-odds, or a probability where its activation is a sigmoid;
    - two units (batch, 2) under a softmax; the second is the positive class.

    In regression the value is what stands before that sigmoid, or the difference of the two units before
    that softmax, which must be linear; a feature map or features get our head with a linear unit. For several
    targets a function is called with `outputs` too, and returns as many units, linear or under a sigmoid.

    The optimizer, loss and metrics of a compiled model are left out; its layers' regularisers stay. Stock
    layers, and what `keras.ops` computes, are saved and loaded without this package or the user's code. A
    layer class of the user's own needs a `get_config` and `keras.saving.register_keras_serializable`, and its
    file loaded (`models.user_code.load_object`) before a saved model is.

    Args:
        spec: What to build; `custom` says from what.

    Returns:
        A functional model from "patch" (batch, h, w, channels) to probabilities or values (batch, outputs),
        float32, whose layer `models.heads.LOGIT` gives the log-odds or values. Its weights are those that the
        user's code gave it.

    Raises:
        ModelError: The code cannot be loaded or raises, or it returns anything else; in one line.
    """
    if spec.custom is None:
        raise ModelError(f"architecture '{spec.architecture}': a function or a hypermodel is needed")
    source = spec.custom.source
    network = flat_network(_returned(spec.custom, spec.input_shape, spec.outputs), spec.input_shape, source)
    with blamed(source):
        output = network_output(network.outputs[0], spec, source)
    model = keras.Model(network.inputs[0], output, name=spec.architecture)
    with blamed(f"{source}: the network cannot be saved"):
        model.to_json()
    return model


def _returned(custom: CustomSpec, input_shape: tuple[int, int, int], outputs: int) -> Any:
    if custom.kind == "hypermodel":
        return hypermodel_network(custom, input_shape)
    function, params = load_function(custom.source), dict(custom.params)
    told = outputs_argument(custom.source, params, outputs)
    with blamed(custom.source):
        network = function(input_shape, **params, **told)
    return network  # noqa: RET504  # to mypy, the block above may end without one
