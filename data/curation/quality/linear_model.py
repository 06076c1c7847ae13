"""A linear classifier of text on hashed words and pairs of words."""

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float32, Float64

from data import atomic

FORMAT = 1


@dataclass(frozen=True)
class Features:
    """How a text becomes a vector.

    Words are runs of letters and digits in lower case. They and their n-grams are hashed (MurmurHash3, signed) into
    buckets and counted; the vector has length 1.

    Attributes:
      buckets: how many numbers the vector has.
      ngram: words of the longest n-gram.
      characters: how many of the first characters of a text are looked at.

    Raises:
      ValueError: when one of them is less than 1.
    """

    buckets: int = 1 << 20
    ngram: int = 2
    characters: int = 20_000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"Features.{name} is {value}, but must be at least 1")

    def vectors(self, texts: Sequence[str]) -> Any:
        """The vectors of texts, as a sparse matrix of float64 with a row a text."""
        from sklearn.feature_extraction.text import HashingVectorizer

        vectorizer = HashingVectorizer(
            n_features=self.buckets, ngram_range=(1, self.ngram), token_pattern=r"\w+", lowercase=True, norm="l2"
        )
        return vectorizer.transform([text[: self.characters] for text in texts])


@dataclass(frozen=True)
class LinearModel:
    """A logistic regression: the score of a text is the probability that it is of the positive kind.

    Attributes:
      features: how texts become vectors.
      weights: one for each bucket.
      bias: added to the product of weights and vector.
    """

    features: Features
    weights: Float32[np.ndarray, " buckets"]
    bias: float

    def scores(self, texts: Sequence[str]) -> Float64[np.ndarray, " texts"]:
        """The scores of texts, in [0, 1]."""
        logits = self.features.vectors(texts) @ self.weights.astype(np.float64) + self.bias
        # Written with tanh, the logistic function overflows nowhere.
        return 0.5 * (1 + np.tanh(0.5 * logits))

    def save(self, path: epath.PathLike) -> None:
        """Writes the model as an `.npz` of plain arrays, whole or not at all."""
        settings = json.dumps({"format": FORMAT, "bias": self.bias, "features": asdict(self.features)})
        buffer = io.BytesIO()
        np.savez_compressed(buffer, settings=np.frombuffer(settings.encode(), np.uint8), weights=self.weights)
        with atomic.writing(epath.Path(path)) as file:
            file.write(buffer.getbuffer())

    @classmethod
    def load(cls, content: bytes, place: str) -> "LinearModel":
        """The model that `save` wrote.

        Args:
          content: the bytes of the file.
          place: what to call it in an error.

        Raises:
          ValueError: when it is no such file.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                settings, weights = json.loads(arrays["settings"].tobytes()), arrays["weights"]
            if settings["format"] != FORMAT:
                raise ValueError(f"it has format {settings['format']}, but this code reads {FORMAT}")
            features = Features(**settings["features"])
            if weights.shape != (features.buckets,) or weights.dtype != np.float32:
                found = f"{weights.dtype}{list(weights.shape)}"
                raise ValueError(f"its weights are {found}, but must be float32[{features.buckets}]")
            return cls(features, weights, float(settings["bias"]))
        except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
            raise ValueError(f"{place} is no quality classifier: {error}") from error

    @classmethod
    def train(
        cls, positive: Sequence[str], negative: Sequence[str], features: Features, penalty: float = 0.1
    ) -> "LinearModel":
        """Fits the regression; both kinds weigh the same in all, however many texts they have.

        Args:
          positive, negative: texts of each kind, at least one.
          features: how they become vectors.
          penalty: what half the sum of squared weights is multiplied by, against the sum of losses; more makes
            scores less sure.
        """
        from sklearn.linear_model import LogisticRegression

        labels = np.repeat([1, 0], [len(positive), len(negative)])
        model = LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=1000)
        model.fit(features.vectors([*positive, *negative]), labels)
        return cls(features, model.coef_[0].astype(np.float32), float(model.intercept_[0]))


def auc(positive: Float64[np.ndarray, " p"], negative: Float64[np.ndarray, " n"]) -> float:
    """The chance that a text of the positive kind scores above one of the negative kind; half where they tie."""
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([1, 0], [len(positive), len(negative)])
    return float(roc_auc_score(labels, np.concatenate([positive, negative])))
