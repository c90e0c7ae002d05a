"""Tests of harmful covariate shift: does a classifier still know what it does on new, unlabelled rows?"""
from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from ._arrays import as_rows, floats, labels, to_numpy
from ._progress import LOG, Progress, observer
from ._settings import laid_over, plain, renamed
from ._states import flat, size
from ._verdict import Verdict
from .networks import Networks

#: All tests by name: what each looks at, and whether it needs the classifier's logits alone, inputs, or the network itself.
METHODS = {name: (looks_at, needs) for name, looks_at, needs in _core.methods()}

#: Probabilities are taken to be at least e to the power of this.
LEAST_LOGARITHM = -30.0


class Detector:
    """Tests of shift for one classifier, in the shape of an estimator of scikit-learn.

    Parameters
    ----------
    classifier : torch.nn.Module, Networks, (Architecture, state dict), callable or estimator
        The classifier; :class:`Networks` of one. A module whose layers the engine knows, or an architecture with weights, takes all tests. For any other module, any function
        from rows to logits ``[N, C]``, or an object with ``predict_proba`` the tests that need logits alone are taken, if no `methods` are named. For
        named ones that train networks beside the classifier (``"bank"``, ``"detectron"``, ``"conditional"``), a module is trained by PyTorch, on its own
        device; for what is no module, and for tests that need the engine (``"meta-detectron"``, ``"ensemble"``), a small perceptron is fitted to the
        classifier's answers on rows of numbers and stands in for it: tests stay valid and see less (`record` says under ``stand_in`` on which share of
        other rows it names the same class).
    size : int
        About how many rows queries will have; others are tested as validly.
    methods : list of str, or str, optional
        Tests (see `METHODS`); all that logits suffice for, or the program's choice for a network, if not given.
    null : int
        Redraws of every query: the least p-value is 1/(1 + null).
    level : float
        Level that queries will be tested at.
    seed : int
        Of all randomness.
    choose : bool
        Whether the parameters of the test ``detectron`` are found on validation draws.
    settings : dict, optional
        Parameters of the tests by their names in TOML: ``{"bank": {"size": 400}}``.
    input_shape : tuple of int, optional
        The shape of one input, where the module does not tell it.

    Examples
    --------
    >>> det = tw.shift.Detector.calibrate(classifier, x, y, size=20)   # doctest: +SKIP
    >>> det.test(new_rows).is_harmful                                  # doctest: +SKIP
    False
    """

    def __init__(
        self,
        classifier: Any = None,
        *,
        size: int = 20,
        methods: Sequence[str] | None = None,
        null: int = 200,
        level: float = 0.05,
        seed: int = 1,
        choose: bool = True,
        settings: Mapping[str, Any] | None = None,
        input_shape: Sequence[int] | None = None,
    ):
        self.classifier, self.size, self.methods, self.null, self.level = classifier, size, methods, null, level
        self.seed, self.choose, self.settings, self.input_shape = seed, choose, settings, input_shape

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if name != "self"]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Detector:
        """Changes arguments of the constructor."""
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise ValueError(f"parameter {name}: expected one of {', '.join(known)}")
            setattr(self, name, value)
        return self

    @classmethod
    def calibrate(
        cls, classifier: Any, P_x: Any, P_y: Any = None, *, held: Any = None, held_y: Any = None, validation: Any = None,
        progress: Progress = None, **params: Any,
    ) -> Detector:
        """A detector made ready: :class:`Detector` with these parameters, after :meth:`fit`."""
        return cls(classifier, **params).fit(P_x, P_y, held=held, held_y=held_y, validation=validation, progress=progress)

    def fit(
        self, X: Any, y: Any = None, *, held: Any = None, held_y: Any = None, validation: Any = None, progress: Progress = None
    ) -> Detector:
        """Trains what the tests need and keeps rows of P.

        Parameters
        ----------
        X : array_like, or str
            Rows of P as the classifier takes them, ``[N, ...]``. Where `held` is not given, the classifier must not have been trained on them: half
            are kept to compare queries with. For an architecture with weights, also data by name: ``"heart"``.
        y : array_like, optional
            Their labels, for tests that train networks (the classifier's predictions serve if not given) and for the estimate of its accuracy.
        held : array_like, optional
            Rows of P that the classifier was not trained on; `X` may then be its training rows.
        held_y : array_like, optional
            The labels of `held`, for the estimate of the classifier's accuracy on new rows.
        validation : array_like, optional
            Rows to choose on, beside `held`; a quarter of `X` if not given.

        Returns
        -------
        Detector
        """
        network = self._network()
        known = network is not None and not isinstance(network, str)
        given = renamed(plain(self.settings), "_", "-") if self.settings is not None else {}
        bank = given.get("bank")
        arguments = dict(
            size=int(self.size), methods=self._methods(), null=int(self.null),
            level=float(self.level), seed=int(self.seed), name="", probabilities=False, columns=[], choose=bool(self.choose),
            bank_size_given=isinstance(bank, dict) and "size" in bank,
        )
        sides = network[0].input[1:] if known else getattr(X, "shape", ())[2:]
        images = len(sides) == 2 and sides[0] > 1  # as the program tells: a row of features, or of a sequence, has no height
        settings = None
        if self.settings is not None:
            settings = laid_over(_core.shift_defaults(images), given)
        with observer(progress) as watching:
            needs = set() if known else self._needs() - {"logits"}
            if needs and "engine" not in needs and (_is_module(self.classifier) or isinstance(self.classifier, Networks)):
                LOG.info("networks beside the classifier are trained by PyTorch: the engine does not know %s", network)
                self._core = self._of_module((X, y), (held, held_y), validation, images, arguments, settings, watching)
            elif needs:
                LOG.info("a network is fitted to the classifier's answers%s", f": the engine does not know {network}" if network else "")
                given = [("P", X, y), ("validation", validation, None), ("held", held, held_y)]
                parts = [None if x is None else self._answered(what, x, of) for what, x, of in given]
                self._core = _core.Detector.of_answers(*parts, images, arguments, settings, watching)
            elif not known:
                self._core = self._of_logits((X, y), (held, held_y), validation, arguments, settings, watching)
            elif isinstance(X, (str, dict)):
                self._core = _core.Detector.of_data(*network, plain(X), arguments, settings, watching)
            else:
                wide = size(network[0].input)
                rows = lambda what, x: None if x is None else floats(what, x, wide)
                self._core = _core.Detector.of_network(
                    *network, (floats("P", X, wide), self._labels(y)), rows("validation", validation),
                    None if held is None else (rows("held", held), self._labels(held_y)), arguments, settings, watching,
                )
        return self

    def _labels(self, y):
        """Labels as numbers of the classifier's outputs, by the names that an estimator of scikit-learn has for them."""
        classes = getattr(self.classifier, "classes_", None)
        if y is None or classes is None:
            return None if y is None else labels(y)
        given = np.asarray(to_numpy(y)).reshape(-1)
        order = np.argsort(classes)
        at = order[np.minimum(np.searchsorted(classes, given, sorter=order), len(classes) - 1)]
        other = np.asarray(classes)[at] != given
        if other.any():
            raise ValueError(f"labels: expected classes of the classifier ({', '.join(map(str, classes))}), found {given[other][0]}")
        return labels(at)

    def _methods(self):
        if self.methods is None:
            return None
        return [self.methods] if isinstance(self.methods, str) else list(self.methods)

    def _needs(self):
        """What the tests that were asked for need."""
        return {METHODS.get(method, (None, "logits"))[1] for method in self._methods() or ()}

    def _of_module(self, of_p, held, validation, images, arguments, settings, watching):
        from ._torch import Functional
        from ._trainable import Trainable

        functional, x = Functional(self.classifier), as_rows(of_p[0])
        theta = functional.own()
        if isinstance(self.classifier, Networks):
            functional, theta = functional.of(self.classifier), self.classifier.theta[0]
        module = Trainable(functional, x)
        if module.whole:
            # Rows of whole numbers are not moved between them.
            still = {"bank": {"offset": 0.0}, "cdc": {"jitter": 0.0}, "bank-cdc": {"jitter": 0.0}}
            settings = laid_over(_core.shift_defaults(images) if settings is None else settings, still)
        rows = lambda what, x, y: None if x is None else (floats(what, x, module.input_len), self._labels(y))
        validation = None if validation is None else floats("validation", validation, module.input_len)
        return _core.Detector.of_module(
            module, theta, rows("P", *of_p), validation, rows("held", *held), images, arguments, settings, watching
        )

    def _answered(self, what, x, y):
        """Rows with the classifier's answers and their labels."""
        logits = self._logits(x)[0]
        return self._rows(what, x, len(logits)), logits, self._labels(y)

    @staticmethod
    def _rows(what, x, n):
        rows = floats(what, x)
        if len(rows) != n:
            raise ValueError(f"{what}: expected as many rows as the classifier gives logits, {n}, found {len(rows)}")
        return rows

    def _of_logits(self, of_p, held, validation, arguments, settings, watching):
        X, y = of_p
        if held[0] is not None:
            # Logits of rows that the classifier was trained on would only mislead.
            X, y = held
        logits, probabilities = self._logits(X)
        if validation is not None:
            # Rows to choose on are among those that are compared with.
            logits, y = np.concatenate([logits, self._logits(validation)[0]]), None
        rows = (logits, self._labels(y))
        return _core.Detector.of_logits(rows, {**arguments, "probabilities": probabilities}, settings, watching)

    def test(self, Q: Any, *, level: float | None = None, seed: int = 1, progress: Progress = None) -> Verdict:
        """What the tests say of new rows, of any number.

        Parameters
        ----------
        Q : array_like
            Rows as the classifier takes them; logits ``[N, C]`` for a detector that was opened without its classifier.
        level : float, optional
            That of the calibration if not given.
        seed : int
            Of the redraws.

        Returns
        -------
        Verdict
        """
        core = self._fitted()
        answers = None
        if core.record.get("stand_in") is not None:
            if self.classifier is None:
                raise ValueError("classifier: expected the one that was calibrated for, as a network only stands in for it: Detector.open(path, classifier)")
            answers = self._logits(Q)[0]
        if core.takes_inputs or self.classifier is None:
            rows = floats("Q", Q, core.columns)
        else:
            rows = self._logits(Q)[0]
        with observer(progress) as watching:
            said = core.test(rows, answers, level, seed, watching)
        return Verdict(
            said["outcome"], said["p_value"], said["level"], said["findings"], said["answer"], said["row_scores"], said["estimate"], said["harmless_change"], said["caveats"]
        )

    def predict(self, X: Any) -> Verdict:
        """As :meth:`test`: one verdict on all rows together."""
        return self.test(X)

    def save(self, path: str | os.PathLike[str], force: bool = False) -> None:
        """Writes the calibration into one file, as ``thalweg shift calibrate`` does."""
        self._fitted().save(os.fspath(path), force)

    @classmethod
    def open(cls, path: str | os.PathLike[str], classifier: Any = None) -> Detector:
        """Reads a calibration, of :meth:`save` or of the program.

        Parameters
        ----------
        path : path-like
            The file.
        classifier : optional
            What makes logits of rows, for a calibration on logits; without one :meth:`test` takes logits. A calibration of a network that the engine
            knows has it inside; one of another module takes that module, whose weights are in the file.
        """
        with observer(None) as watching:
            core = _core.Detector.open(os.fspath(path), lambda name: _trainable(classifier, name), watching)
        record = core.record
        detector = cls(classifier, size=record["size"], methods=record["methods"], null=record["null"], level=record["level"],
                       seed=record["seed"])
        detector._core = core
        return detector

    @property
    def record(self) -> dict[str, Any]:
        """How the calibration was made."""
        return self._fitted().record

    def __repr__(self):
        return f"<Detector: {', '.join(self._core.record['methods'])}>" if hasattr(self, "_core") else "<Detector, not fitted>"

    def __reduce__(self):
        raise TypeError("a Detector is not pickled: save(file) writes it and Detector.open(file) reads it")

    def _fitted(self):
        if not hasattr(self, "_core"):
            raise ValueError("detector: expected one that is fitted (calibrate, fit or open)")
        return self._core

    def _network(self):
        """(Architecture, θ) of a classifier that the engine knows; why not, or None for what is no network."""
        classifier = self.classifier
        if isinstance(classifier, (tuple, list)) and len(classifier) == 2:
            architecture, weights = classifier
            if not isinstance(architecture, _core.Architecture):
                architecture = _core.Architecture.from_dict(plain(architecture))
            if not hasattr(weights, "items"):
                return architecture, np.ascontiguousarray(weights, dtype=np.float32).reshape(-1)
            return architecture, flat(weights, architecture.layout)
        if isinstance(classifier, Networks):
            if len(classifier) != 1:
                raise ValueError(f"classifier: expected one network, found {len(classifier)}: take one of them, nets[0]")
            return "the module" if classifier.architecture is None else (classifier.architecture, classifier.theta[0])
        if _is_module(classifier):
            from ._recognise import architecture as recognise
            from ._torch import unwrapped

            classifier = unwrapped(classifier)
            architecture, why = recognise(classifier, self.input_shape)
            return why if architecture is None else (architecture, flat(classifier.state_dict(), architecture.layout))
        return None

    def _logits(self, x):
        """Logits ``[N, C]`` of rows, and whether they were made of probabilities."""
        classifier = self.classifier
        if isinstance(classifier, Networks):
            return floats("logits", classifier.logits(x)[0]), False
        if hasattr(classifier, "predict_proba") and not isinstance(classifier, type):
            probabilities = np.asarray(classifier.predict_proba(x), dtype=np.float64)
            return floats("probabilities", np.log(np.maximum(probabilities, np.exp(LEAST_LOGARITHM)))), True
        if _is_module(classifier):
            from ._torch import classifier as of_module

            return floats("logits", of_module(classifier)(x)), False
        if isinstance(classifier, type):
            raise TypeError(f"classifier: expected one that is made, found the class {classifier.__name__}")
        if not callable(classifier):
            raise TypeError(f"classifier: expected a module, (architecture, weights), a callable or an estimator, found {type(classifier).__name__}")
        logits = classifier(x)
        found = getattr(logits, "shape", None)
        if found is None or len(found) != 2:
            raise ValueError(f"classifier: expected logits of shape [N, C], found {found}")
        return floats("logits", logits), False


def _trainable(classifier, name):
    """What evaluates networks of a module that the engine does not know, on inputs of the shape and kind that the name of a calibration tells."""
    if not _is_module(classifier) and not isinstance(classifier, Networks):
        return None
    from ._torch import Functional
    from ._trainable import Trainable

    shape, kind = re.search(r"\[([\d, ]*)\](i?)-", name).groups()
    functional = Functional(classifier)
    functional = functional.of(classifier) if isinstance(classifier, Networks) else functional
    return Trainable(functional, np.zeros((1, *map(int, filter(None, shape.split(",")))), np.int64 if kind else np.float32))


def _is_module(value):
    return hasattr(value, "state_dict") and hasattr(value, "named_parameters") and not isinstance(value, type)
