"""Adam on plain variables: a loaded SavedModel's are not Keras's, and TensorFlow has the step as one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import tensorflow as tf

_BETA1: Final = 0.9
_BETA2: Final = 0.999


class Adam(tf.Module):  # type: ignore[misc]
    """Kingma and Ba 2015.

    Attributes
    ----------
    variables
        What is trained, in the order in which gradients are given.
    """

    def __init__(self, variables: Sequence[Any]) -> None:
        super().__init__(name="adam")
        self._trained = list(variables)
        self._means = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in self._trained]
        self._squares = [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in self._trained]
        self._power1 = tf.Variable(_BETA1, trainable=False)
        self._power2 = tf.Variable(_BETA2, trainable=False)

    @property
    def variables(self) -> list[Any]:
        """What is trained."""
        return self._trained

    def apply(self, gradients: Sequence[Any], rate: Any) -> None:
        """Take one step.

        Parameters
        ----------
        gradients
            One per variable; None leaves it as it is.
        rate
            Learning rate, float32 scalar.
        """
        for place, gradient in enumerate(gradients):
            if gradient is None:
                continue
            tf.raw_ops.ResourceApplyAdam(
                var=self._trained[place].handle,
                m=self._means[place].handle,
                v=self._squares[place].handle,
                beta1_power=self._power1,
                beta2_power=self._power2,
                lr=rate,
                beta1=_BETA1,
                beta2=_BETA2,
                epsilon=1e-7,
                grad=tf.convert_to_tensor(gradient),
            )
        self._power1.assign(self._power1 * _BETA1)
        self._power2.assign(self._power2 * _BETA2)
