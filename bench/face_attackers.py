"""Attackers who do more than compare with a recogniser: fitted to a tier, with several pictures, or with the original.

Models are fitted to other people's pictures than those they are tested on, put through the same tier::

    pixels            20 x 20 colours around the face, turned upright, of the rendition alone
    LDA               of the pixels: what tells people apart, over what tells pictures of one person apart (Fisher, 1936)
    kernel ridge      from the pixels to the vector that recognisers give the clear photograph (Saunders and others, 1998)
    small network     likewise, one hidden layer
    all fused         the mean of the three and of the recognisers' own scores, all standardised
"""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
from face_recognisers import aligned
from face_statistics import cosine, standardised, unit
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neural_network import MLPRegressor

SIDE = 20
# Pixels of the face are taken at four times the size, with hair and jaw, and averaged.
FINE, WIDEN = 4 * SIDE, 1.5
# The share of the pixels' variance that is kept: the rest is the codec's noise.
VARIANCE = 0.995
# How far the spread within a person is drawn to its mean: with few pictures each it is not known better.
SHRINKAGE = 0.1
# Directions of the discriminants that are kept, the best first.
DIRECTIONS = 60
RIDGE = 1.0
HIDDEN = 128
# Fewer people than this are no crowd to fit a model on.
LEAST_FITTING = 50
# A picture is looked for by so many pixels a side: the tiers that are searched hold no more.
SEARCH_SIDE = 24


def pixels(face):
    """Return the face's colours, float32 (SIDE * SIDE * 3,), of mean 0 and deviation 1: the light is not the person."""
    fine = aligned(face, FINE, WIDEN)
    values = cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return (values - values.mean()) / max(float(values.std()), 1e-6)


def mirrored(rows):
    """Return the pixels of each face's mirror image."""
    return rows.reshape(-1, SIDE, SIDE, 3)[:, :, ::-1].reshape(len(rows), -1)


class Fitted:
    """Models of one tier, fitted to ``rows``, the pixels (n, .) of ``people`` (n).

    ``clear`` are the vectors (n, .) that each recogniser gives the clear photographs; without any there is the LDA alone.
    """

    def __init__(self, rows, people, clear, seed=1):
        rows = np.concatenate([rows, mirrored(rows)])
        self.basis = PCA(VARIANCE, whiten=True, svd_solver="covariance_eigh").fit(rows)
        inputs = self.basis.transform(rows)
        self.lda = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE).fit(inputs, np.tile(people, 2))
        if not clear:
            return
        targets = np.tile(joined(clear), (2, 1))
        self.mean = targets.mean(axis=0)
        self.inputs = self._discriminants(inputs)
        kernel = self._kernel(self.inputs)
        kernel[np.diag_indices_from(kernel)] += RIDGE
        self.weights = np.linalg.solve(kernel, targets - self.mean)
        self.network = MLPRegressor(
            hidden_layer_sizes=(HIDDEN,),
            alpha=1.0,
            early_stopping=True,
            n_iter_no_change=4,
            max_iter=30,
            random_state=seed,
        ).fit(self.inputs * DIRECTIONS**0.5, targets - self.mean)

    def scores(self, probes, enrolled, clear):
        """Return the scores (probes, enrolled) of each model; ``clear`` are the vectors of the enrolled photographs."""
        probes, enrolled = (self._discriminants(self.basis.transform(rows)) for rows in (probes, enrolled))
        scores = {"LDA": cosine(probes, enrolled)}
        if clear:
            clear = joined(clear) - self.mean
            scores["kernel ridge"] = cosine(self._kernel(probes) @ self.weights, clear)
            scores["small network"] = cosine(self.network.predict(probes * DIRECTIONS**0.5), clear)
        return scores

    def _discriminants(self, inputs):
        return unit(self.lda.transform(inputs)[:, :DIRECTIONS])

    def _kernel(self, inputs):
        """Return the Gaussian kernel of unit vectors, of the width at which two of the crowd are 0.37 alike."""
        return np.exp(inputs @ self.inputs.T - 1)


def joined(vectors):
    """Return the vectors of several recognisers as one, each of length one."""
    return unit(np.concatenate([unit(each) for each in vectors], axis=1))


def together(scores, groups):
    """Return standardised scores of groups of probes of one person each: the mean over the group."""
    scores = standardised(scores)
    return standardised(np.stack([scores[group].mean(axis=0) for group in groups]))


def looked_for(data):
    """Return what a picture is looked for by: SEARCH_SIDE x SEARCH_SIDE colours, float32."""
    picture = Image.open(BytesIO(data)).convert("RGB").resize((SEARCH_SIDE, SEARCH_SIDE), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float32).ravel()


def nearness(queries, library):
    """Return scores (queries, library): minus the squared distances of two lists of pictures."""
    queries, library = np.asarray(queries, dtype=np.float64), np.asarray(library, dtype=np.float64)
    return 2 * queries @ library.T - (queries**2).sum(axis=1)[:, None] - (library**2).sum(axis=1)
