"""Two published image backbones as plain TensorFlow modules, made to be written as TF-Hub-style SavedModels.

Variables and a ``__call__`` and nothing else: such a SavedModel can be loaded by every TensorFlow 2, called, and
fine-tuned. Images are float32 in 0 to 1, RGB, any size over 32 pixels. Importing this module imports TensorFlow.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import tensorflow as tf

Spec = tuple[int, int]


class ConvNorm(tf.Module):  # type: ignore[misc]
    """Convolution, batch normalisation and, where given, an activation.

    Parameters
    ----------
    channels
        Channels in and out; a depthwise convolution has as many out as in.
    kernel, stride
        Side of the kernel, and the step.
    activation
        Applied last; None leaves the sum as it is.
    depthwise
        One kernel per channel.
    """

    def __init__(
        self,
        name: str,
        channels: Spec,
        kernel: int,
        *,
        generator: np.random.Generator,
        stride: int = 1,
        activation: Callable[[Any], Any] | None = tf.nn.relu,
        depthwise: bool = False,
        epsilon: float = 1e-3,
        momentum: float = 0.99,
    ) -> None:
        super().__init__(name=name)
        into, out = channels
        self.stride, self.activation, self.depthwise = stride, activation, depthwise
        self.epsilon, self.momentum = epsilon, momentum
        shape = (kernel, kernel, into, 1) if depthwise else (kernel, kernel, into, out)
        fan_in = kernel * kernel * (1 if depthwise else into)
        start = generator.normal(0.0, (2.0 / fan_in) ** 0.5, shape)  # He et al. 2015: keeps the scale through ReLU
        self.kernel = tf.Variable(start.astype(np.float32), name="kernel")
        self.gamma = tf.Variable(tf.ones([out]), name="gamma")
        self.beta = tf.Variable(tf.zeros([out]), name="beta")
        self.moving_mean = tf.Variable(tf.zeros([out]), name="moving_mean", trainable=False)
        self.moving_variance = tf.Variable(tf.ones([out]), name="moving_variance", trainable=False)

    def __call__(self, inputs: Any, training: bool) -> Any:
        """Apply it to float32 [n, h, w, channels]; ``training`` only decides how batches are normalised."""
        steps = [1, self.stride, self.stride, 1]
        convolve = tf.nn.depthwise_conv2d if self.depthwise else tf.nn.conv2d
        x = convolve(inputs, self.kernel, steps, "SAME")
        if training:
            x, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                x, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
            )
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign_sub((1.0 - self.momentum) * (moving - now))
        else:
            x, _, _ = tf.compat.v1.nn.fused_batch_norm(
                x, self.gamma, self.beta, self.moving_mean, self.moving_variance,
                epsilon=self.epsilon, is_training=False,
            )  # fmt: skip
        return x if self.activation is None else self.activation(x)


class Backbone(tf.Module):  # type: ignore[misc]
    """What TF-Hub calls an image feature vector: ``__call__(images, training=False)`` gives float32 [n, width]."""

    width: int

    @abstractmethod
    def features(self, images: Any, training: bool) -> Any:
        """Return the last activation map, float32 [n, h, w, width]."""

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Return float32 [n, width] of images float32 [n, h, w, 3] in 0 to 1."""
        return tf.reduce_mean(self.features(images, training), axis=[1, 2])

    def save(self, folder: str) -> None:
        """Write a TF-Hub-style SavedModel, with a trace for training and one for inference."""
        images = tf.TensorSpec([None, None, None, 3], tf.float32, name="inputs")

        # A function of its own: every trace is saved, and a loaded function takes the first that may fit, so a trace
        # left by an earlier call with another batch size would be taken for batches of any size.
        @tf.function  # type: ignore[untyped-decorator]
        def call(images: Any, training: bool = False) -> Any:
            return tf.reduce_mean(self.features(images, training), axis=[1, 2])

        call.get_concrete_function(images, training=True)
        serving = call.get_concrete_function(images, training=False)
        # TF-Hub's reusable SavedModel has these as attributes; those of a tf.Module are properties and are not saved.
        hub = tf.__internal__.tracking.AutoTrackable()
        hub.variables = list(self.variables)
        hub.trainable_variables = list(self.trainable_variables)
        hub.regularization_losses = []
        hub.__call__ = call
        tf.saved_model.save(hub, folder, signatures=serving)


# repeats, expansion, kernel, stride, channels out (Tan and Le 2019, table 1; the Lite variant has no squeeze-excite,
# ReLU6 for swish, and a stem and a head that do not scale).
_LITE0: Final = (
    (1, 1, 3, 1, 16), (2, 6, 3, 2, 24), (2, 6, 5, 2, 40), (3, 6, 3, 2, 80),
    (3, 6, 5, 1, 112), (4, 6, 5, 2, 192), (1, 6, 3, 1, 320),
)  # fmt: skip


class MobileBlock(tf.Module):  # type: ignore[misc]
    """Inverted residual: expand, depthwise, project; added to its input where the shapes allow."""

    def __init__(self, name: str, channels: Spec, *, expansion: int, kernel: int, stride: int, generator: Any) -> None:
        super().__init__(name=name)
        into, out = channels
        inner = into * expansion
        self.residual = stride == 1 and into == out
        relu6 = tf.nn.relu6
        self.expand = (
            ConvNorm("expand", (into, inner), 1, generator=generator, activation=relu6) if expansion > 1 else None
        )
        self.depthwise = ConvNorm(
            "depthwise", (inner, inner), kernel, generator=generator, stride=stride, activation=relu6, depthwise=True
        )
        self.project = ConvNorm("project", (inner, out), 1, generator=generator, activation=None)

    def __call__(self, inputs: Any, training: bool) -> Any:
        """Apply it to float32 [n, h, w, channels]; ``training`` only decides how batches are normalised."""
        x = inputs if self.expand is None else self.expand(inputs, training)
        x = self.project(self.depthwise(x, training), training)
        return x + inputs if self.residual else x


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0 without its classifier."""

    width = 1280

    def __init__(self, seed: int = 0) -> None:
        super().__init__(name="efficientnet_lite0")
        generator = np.random.default_rng(seed)
        self.stem = ConvNorm("stem", (3, 32), 3, generator=generator, stride=2, activation=tf.nn.relu6)
        self.blocks: list[MobileBlock] = []
        into = 32
        for repeats, expansion, kernel, stride, out in _LITE0:
            for repeat in range(repeats):
                step = stride if repeat == 0 else 1
                name = f"block_{len(self.blocks)}"
                self.blocks.append(
                    MobileBlock(name, (into, out), expansion=expansion, kernel=kernel, stride=step, generator=generator)
                )
                into = out
        self.head = ConvNorm("head", (into, self.width), 1, generator=generator, activation=tf.nn.relu6)

    def features(self, images: Any, training: bool) -> Any:
        """Return the last activation map; the weights were trained on (value - 127) / 128 of 0 to 255."""
        x = self.stem((images * 255.0 - 127.0) / 128.0, training)
        for block in self.blocks:
            x = block(x, training)
        return self.head(x, training)

    def load(self, weights: dict[str, Any]) -> set[str]:
        """Take over the tensors of the PyTorch port; return the names that were not used (the classifier's)."""
        unused = set(weights)

        def fill(layer: ConvNorm, convolution: str, norm: str) -> None:
            names = [f"{convolution}.weight", *(f"{norm}.{part}" for part in ("weight", "bias"))]
            names += [f"{norm}.running_mean", f"{norm}.running_var"]
            order = (2, 3, 0, 1) if layer.depthwise else (2, 3, 1, 0)
            layer.kernel.assign(weights[names[0]].transpose(order))
            variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
            for variable, name in zip(variables, names[1:], strict=True):
                variable.assign(weights[name])
            unused.difference_update(names)

        fill(self.stem, "_conv_stem", "_bn0")
        fill(self.head, "_conv_head", "_bn1")
        for place, block in enumerate(self.blocks):
            at = f"_blocks.{place}."
            if block.expand is not None:
                fill(block.expand, at + "_expand_conv", at + "_bn0")
            fill(block.depthwise, at + "_depthwise_conv", at + "_bn1")
            fill(block.project, at + "_project_conv", at + "_bn2")
        return {name for name in unused if not name.endswith("num_batches_tracked")}


# Ioffe and Szegedy 2015, as TF-Slim built it: 1×1; reduce, 3×3; reduce, 3×3, 3×3; pool and its 1×1.
_MIXED: Final = {
    "3b": (64, (64, 64), (64, 96), ("avg", 32)),
    "3c": (64, (64, 96), (64, 96), ("avg", 64)),
    "4a": (0, (128, 160), (64, 96), ("stride", 0)),
    "4b": (224, (64, 96), (96, 128), ("avg", 128)),
    "4c": (192, (96, 128), (96, 128), ("avg", 128)),
    "4d": (160, (128, 160), (128, 160), ("avg", 96)),
    "4e": (96, (128, 192), (160, 192), ("avg", 96)),
    "5a": (0, (128, 192), (192, 256), ("stride", 0)),
    "5b": (352, (192, 320), (160, 224), ("avg", 128)),
    "5c": (352, (192, 320), (192, 224), ("max", 128)),
}


class Mixed(tf.Module):  # type: ignore[misc]
    """An Inception module; with pool ``stride`` it halves the map and passes its pooled input on."""

    def __init__(self, name: str, into: int, spec: Any, generator: Any) -> None:
        super().__init__(name=f"mixed_{name}")
        single, three, double, (self.pool, projected) = spec
        stride = 2 if self.pool == "stride" else 1

        def layer(name: str, channels: Spec, kernel: int, step: int = 1) -> ConvNorm:
            return ConvNorm(name, channels, kernel, generator=generator, stride=step)

        self.branches: list[list[ConvNorm]] = [[layer("single", (into, single), 1)]] if single else []
        self.branches.append([layer("three_reduce", (into, three[0]), 1), layer("three", three, 3, stride)])
        self.branches.append(
            [
                layer("double_reduce", (into, double[0]), 1),
                layer("double_a", double, 3),
                layer("double_b", (double[1], double[1]), 3, stride),
            ]
        )
        self.projection = layer("pool_project", (into, projected), 1) if projected else None
        self.out = single + three[1] + double[1] + (projected or into)

    def __call__(self, inputs: Any, training: bool) -> Any:
        """Apply it to float32 [n, h, w, channels]; ``training`` only decides how batches are normalised."""
        outputs = []
        for branch in self.branches:
            x = inputs
            for layer in branch:
                x = layer(x, training)
            outputs.append(x)
        if self.pool == "avg":
            pooled = tf.nn.avg_pool2d(inputs, 3, 1, "SAME")
        else:
            pooled = tf.nn.max_pool2d(inputs, 3, 2 if self.pool == "stride" else 1, "SAME")
        outputs.append(pooled if self.projection is None else self.projection(pooled, training))
        return tf.concat(outputs, axis=-1)


class InceptionV2(Backbone):
    """Inception V2 (BN-Inception), depth multiplier 1, with the separable first convolution of TF-Slim."""

    width = 1024

    def __init__(self, seed: int = 0) -> None:
        super().__init__(name="inception_v2")
        generator = np.random.default_rng(seed)
        depthwise = generator.normal(0.0, (2.0 / 49) ** 0.5, (7, 7, 3, 8)).astype(np.float32)
        self.first_depthwise = tf.Variable(depthwise, name="first_depthwise")
        self.first_pointwise = ConvNorm("first_pointwise", (24, 64), 1, generator=generator)
        self.second = ConvNorm("second", (64, 64), 1, generator=generator)
        self.third = ConvNorm("third", (64, 192), 3, generator=generator)
        self.mixed: list[Mixed] = []
        into = 192
        for name, spec in _MIXED.items():
            self.mixed.append(Mixed(name, into, spec, generator))
            into = self.mixed[-1].out

    def features(self, images: Any, training: bool) -> Any:
        """Return the last activation map; Inception takes values in -1 to 1."""
        x = tf.nn.depthwise_conv2d(images * 2.0 - 1.0, self.first_depthwise, [1, 2, 2, 1], "SAME")
        x = tf.nn.max_pool2d(self.first_pointwise(x, training), 3, 2, "SAME")
        x = self.third(self.second(x, training), training)
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for module in self.mixed:
            x = module(x, training)
        return x
