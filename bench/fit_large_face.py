"""Fit the network of large faces, and write its weights as ``nightlight/imaging/large_face.onnx``.

Photographs are yours: ``--faces`` as for ``bench/composites.py``, adults only, of half 1; ``--other`` a folder of
pictures of other things, of which those are left out that CenterFace sees a face in. Needs ``tensorflow-cpu`` and
``onnx``, which nothing else of Nightlight does; half an hour of two cores. The samples' seeds are fixed; the order of
sums is not, so another run gives other weights that do as well. Measure them with ``make bench-composites`` before they
are used: face.BESIDE and face.NO_FACE are logits of these weights. Those of today were fitted in three goes: 18 epochs
without the last four CHANGES; 9 with all; then, from the mean of both, 8 with those four half as often. That
was by drafts of this program; as it stands, it has not been run from end to end.

    python -m bench.fit_large_face --faces FOLDER --other FOLDER [--count N] [--epochs N] [--out FILE]
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import keras
import numpy as np
import onnx
import tensorflow as tf
from keras import layers

from bench.composites import SUFFIXES, first_photographs, portraits
from bench.large_face_samples import of_other_things, with_a_face, without_a_face
from nightlight.imaging import face_networks
from nightlight.imaging.face import FaceDetector
from nightlight.imaging.face_networks import LARGE_FACE_CELLS, LARGE_FACE_SIDE

# Channels and stride of each 3 x 3 convolution. Where both stay the same, the input is added to the output.
CONVOLUTIONS = ((16, 2), (24, 2), (32, 1), (48, 2), (48, 1), (48, 1), (48, 1), (48, 1))
# People whose photographs are fitted to. The others of half 1 are left for the choice of thresholds.
PEOPLE = 1400
BATCH, WARM_UP, RATE = 96, 300, 3e-3
# Focal loss (Lin, Goyal, Girshick, He, Dollar: "Focal loss for dense object detection", 2017).
FOCUS = 1.5
# How much a picture's other cells count, and its likeliest cell, beside its cells of a face.
OTHER_CELLS, LIKELIEST = 0.25, 2.0
SHARPNESS = 4.0


def network():
    """Return the network: (n, 72, 72, 3) standardised levels in, (n, 9, 9, 1) logits out."""
    pixels = keras.Input((LARGE_FACE_SIDE, LARGE_FACE_SIDE, 3))
    x = pixels
    for channels, stride in CONVOLUTIONS:
        y = layers.ZeroPadding2D(1)(x)
        y = layers.Conv2D(channels, 3, stride, use_bias=False, kernel_regularizer=keras.regularizers.l2(3e-5))(y)
        y = layers.ReLU()(layers.BatchNormalization(momentum=0.97)(y))
        x = layers.Add()([x, y]) if y.shape == x.shape else y
    return keras.Model(pixels, layers.Conv2D(1, 1, dtype="float32")(layers.SpatialDropout2D(0.1)(x)))


def changed(pixels, cells):
    """Return a sample turned, mirrored, and changed by chance, standardised."""
    x, y = tf.cast(pixels, tf.float32), tf.cast(cells, tf.float32)[..., None]
    turns, mirrored = tf.random.uniform((), 0, 4, tf.int32), tf.random.uniform(()) < 0.5
    x, y = tf.image.rot90(x, turns), tf.image.rot90(y, turns)
    x, y = (tf.cond(mirrored, lambda each=each: each[:, ::-1], lambda each=each: each) for each in (x, y))
    for share, change in CHANGES:
        x = tf.cond(tf.random.uniform(()) < share, lambda x=x, change=change: change(x), lambda x=x: x)
    x = tf.clip_by_value(x + tf.random.normal(tf.shape(x)) * tf.random.uniform((), 0, 8), 0, 255)
    x = (x - tf.reduce_mean(x)) / (tf.math.reduce_std(x) + face_networks.LEAST_DEVIATION)
    x.set_shape((LARGE_FACE_SIDE, LARGE_FACE_SIDE, 3))
    y.set_shape((LARGE_FACE_CELLS, LARGE_FACE_CELLS, 1))
    return x, y


def _tinted(x):
    return x * tf.random.uniform((3,), 0.75, 1.25)


def _grey(x):
    return tf.repeat(tf.reduce_mean(x, -1, keepdims=True), 3, -1)


def _brightened(x):
    return 255 * (tf.clip_by_value(x, 0, 255) / 255) ** tf.exp(tf.random.uniform((), -0.5, 0.5))


def _partly_covered(x):
    """Lay a rectangle of one colour over a twelfth to a third of the side, each way."""
    high, wide = (tf.random.uniform((), 6, 22, tf.int32) for _ in range(2))
    top, left = (tf.random.uniform((), 0, LARGE_FACE_SIDE - length, tf.int32) for length in (high, wide))
    edges = [[top, LARGE_FACE_SIDE - high - top], [left, LARGE_FACE_SIDE - wide - left], [0, 0]]
    mask = tf.pad(tf.ones((high, wide, 1)), edges)
    return x * (1 - mask) + mask * tf.random.uniform((1, 1, 3), 0, 255)


def _blurred(x):
    side = tf.random.uniform((), 14, 40, tf.int32)
    return tf.image.resize(tf.image.resize(x, (side, side), "area"), (LARGE_FACE_SIDE, LARGE_FACE_SIDE), "bicubic")


def _relief(x):
    """Leave the differences of neighbours, as an embossed picture or a drawing of outlines."""
    step = x - tf.roll(x, tf.stack([1, tf.random.uniform((), -1, 2, tf.int32)]), (0, 1))
    step *= tf.random.uniform((), 0.7, 3.0)
    return tf.cond(tf.random.uniform(()) < 0.5, lambda: 128 + step, lambda: 255 - tf.abs(step))


def _inverted(x):
    return 255 - x


def _noisy(x):
    return x + tf.random.normal(tf.shape(x)) * tf.random.uniform((), 8, 50)


# What is done to an input, and how often.
CHANGES = (
    (0.5, _tinted),
    (0.2, _grey),
    (0.3, _brightened),
    (0.4, _partly_covered),
    (0.15, _partly_covered),
    (0.15, _blurred),
    (0.08, _relief),
    (0.1, _inverted),
    (0.15, _noisy),
)


def loss(cells, logits):
    """Return the focal loss of the cells, and the loss of the likeliest cell: a face's, or any where there is none."""
    logits = tf.cast(logits, tf.float32)
    asked, true = (tf.cast(each, tf.float32) for each in (cells >= 0, cells > 0))
    likely = tf.sigmoid(logits)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(true, logits) * tf.where(true > 0, 1 - likely, likely) ** FOCUS
    count = tf.reduce_sum(true, (1, 2, 3))
    of_faces = tf.reduce_sum(entropy * true, (1, 2, 3)) / tf.maximum(count, 1)
    of_others = tf.reduce_sum(entropy * asked * (1 - true), (1, 2, 3))
    shown = tf.cast(count > 0, tf.float32)
    of_face, of_any = (
        tf.reduce_logsumexp(SHARPNESS * tf.where(where, logits, low * tf.ones_like(logits)), (1, 2, 3)) / SHARPNESS
        for where, low in ((cells > 0, -1e2), (cells >= 0, -1e3))
    )
    whole = tf.nn.sigmoid_cross_entropy_with_logits(shown, tf.where(shown > 0, of_face, of_any))
    return tf.reduce_mean(of_faces + OTHER_CELLS * of_others + LIKELIEST * whole)


def fit(pixels, cells, epochs):
    """Return the network, fitted."""
    asked = (cells == 1).any((1, 2)) | (cells == 0).all((1, 2))
    pixels, cells = pixels[asked], cells[asked]
    samples = tf.data.Dataset.from_tensor_slices((pixels, cells)).shuffle(len(pixels))
    samples = samples.map(changed, 2).batch(BATCH, drop_remainder=True).prefetch(2)
    steps = epochs * (len(pixels) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(2e-4, steps - WARM_UP, warmup_target=RATE, warmup_steps=WARM_UP)
    model = network()
    model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-4), loss)
    model.fit(samples, epochs=epochs, verbose=2)
    return model


def save(model, path):
    """Write the network as ONNX, with its normalisation folded into the convolutions."""
    kinds = layers.Conv2D, layers.BatchNormalization
    convolutions, norms = ([layer for layer in model.layers if isinstance(layer, kind)] for kind in kinds)
    nodes, weights, at = [], [], "pixels"
    for number, layer in enumerate(convolutions):
        kernel = layer.get_weights()[0].transpose(3, 2, 0, 1)
        if number < len(norms):
            gain, shift, mean, variance = norms[number].get_weights()
            scale = gain / np.sqrt(variance + norms[number].epsilon)
            kernel, bias = kernel * scale[:, None, None, None], shift - mean * scale
        else:
            bias = layer.get_weights()[1]
        names = f"kernel{number}", f"bias{number}"
        weights += [
            onnx.numpy_helper.from_array(v.astype(np.float32), n) for v, n in zip((kernel, bias), names, strict=True)
        ]
        last, side, stride = number == len(norms), kernel.shape[2], layer.strides[0]
        out = "heat" if last else f"sum{number}"
        nodes.append(
            onnx.helper.make_node(
                "Conv", [at, *names], [out], kernel_shape=[side] * 2, strides=[stride] * 2, pads=[side // 2] * 4
            )
        )
        if not last:
            nodes.append(onnx.helper.make_node("Relu", [out], [f"relu{number}"]))
            same = stride == 1 and kernel.shape[0] == kernel.shape[1]
            if same:
                nodes.append(onnx.helper.make_node("Add", [at, f"relu{number}"], [f"added{number}"]))
            at = f"added{number}" if same else f"relu{number}"
    shapes = {"pixels": [1, 3, LARGE_FACE_SIDE, LARGE_FACE_SIDE], "heat": [1, 1, LARGE_FACE_CELLS, LARGE_FACE_CELLS]}
    ends = [[onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shapes[n])] for n in ("pixels", "heat")]
    graph = onnx.helper.make_graph(nodes, "LargeFace", *ends, weights)
    whole = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(whole)
    onnx.save(whole, path)


def main():
    """Make the samples, fit, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--faces", type=Path, required=True, help="a folder with a folder of photographs for each person"
    )
    parser.add_argument("--other", type=Path, required=True, help="a folder of pictures of other things")
    parser.add_argument("--count", type=int, default=7500)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--out", type=Path, default=face_networks.LARGE_FACE_FILE)
    options = parser.parse_args()
    keras.utils.set_random_seed(1)
    detector = FaceDetector()
    faces = portraits(first_photographs(options.faces, 1), detector, PEOPLE)
    others = sorted(path for path in options.other.rglob("*") if path.suffix.lower() in SUFFIXES)
    # Half of them: the others are what `bench/composites.py --no-face` may measure.
    others = [path for path in others if hashlib.sha256(path.name.encode()).digest()[0] % 2 == 0]
    samples = [
        *with_a_face(faces, options.count, 10_000_000),
        *without_a_face(faces, options.count // 4, 20_000_000),
        *of_other_things(others, detector, 30_000_000),
    ]
    pixels, cells = (np.stack(column) for column in zip(*samples, strict=True))
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    save(fit(pixels, cells, options.epochs), options.out)


if __name__ == "__main__":
    main()
