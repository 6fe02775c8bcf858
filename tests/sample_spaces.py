"""Search spaces that several tests use, and strategies that generate them."""

from hypothesis import strategies as st


def choice(*options):
    return {"_type": "choice", "_value": list(options)}


ALL_TYPES = {
    "choice": choice("a", "b", "c"),
    "randint": {"_type": "randint", "_value": [2, 9]},
    "uniform": {"_type": "uniform", "_value": [-1.0, 2.0]},
    "quniform": {"_type": "quniform", "_value": [0.0, 0.5, 0.1]},
    "loguniform": {"_type": "loguniform", "_value": [0.0001, 1.0]},
    "qloguniform": {"_type": "qloguniform", "_value": [1, 64, 4]},
    "normal": {"_type": "normal", "_value": [0, 1]},
    "qnormal": {"_type": "qnormal", "_value": [10, 5, 0.5]},
    "lognormal": {"_type": "lognormal", "_value": [0, 1]},
    "qlognormal": {"_type": "qlognormal", "_value": [5, 1, 2]},
}
"""Every type of NNI 3.0."""

DEEP = {
    "net": choice(
        {
            "_name": "cnn",
            "conv": choice(
                {
                    "_name": "sep",
                    "kernel": choice(3, 7),
                    "act": choice(
                        {"_name": "relu"},
                        {"_name": "leaky", "slope": {"_type": "uniform", "_value": [0, 0.5]}},
                    ),
                },
                {"_name": "full", "kernel": choice(1, 3)},
            ),
        },
        {"_name": "mlp", "kernel": {"_type": "randint", "_value": [16, 65]}},
    ),
    "rate": {"_type": "loguniform", "_value": [0.001, 1]},
}
"""Nested three deep, with the same child name in several branches."""

SHAPES = {
    "block": choice(
        {"_name": "plain", "kernel": choice(3, 5)},
        {"_name": "residual", "kernel": choice(3, 5), "scale": choice(0.5, 1.0, 2.0)},
        {"_name": "none"},
    ),
    "pool": choice("max", None, 2),
    "sizes": choice([8], [8, 8]),
    "norm": choice(True, False),
}
"""Finite, 108 configs; with options that are lists, null, booleans beside numbers."""


def as_javascript(value):
    """What NNI's manager makes of JSON: a number without fraction loses its point."""
    if isinstance(value, dict):
        return {key: as_javascript(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_javascript(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


NAMES = st.sampled_from(["a", "b", "k", "a/b", "x y", "ü"])
OPTIONS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, 2.5]),
    st.sampled_from(["", "1", "true", "relu"]),
    st.lists(st.integers(0, 2), max_size=2),
)


def _identity(option):
    """1 and 1.0 are one option, 1 and True are two."""
    return (isinstance(option, bool), repr(option + 0.0) if _is_number(option) else repr(option))


def _is_number(option):
    return isinstance(option, int | float) and not isinstance(option, bool)


@st.composite
def numeric(draw, finite=False):
    """A numeric entry."""
    types = ["randint", "quniform", "qloguniform"]
    types += [] if finite else ["uniform", "loguniform"]
    types += [] if finite else ["normal", "qnormal", "lognormal", "qlognormal"]
    type_ = draw(st.sampled_from(types))
    low = draw(st.integers(1, 9)) * draw(st.sampled_from([0.01, 1, 10]))
    if type_ == "randint":
        args = [int(low) - 5, int(low) + draw(st.integers(-4, 9))]
    elif "normal" in type_:
        args = [draw(st.integers(-3, 3)), draw(st.sampled_from([0.1, 1, 3.0]))]
    else:
        args = [low, low + draw(st.sampled_from([0.5, 1, 30.0]))]
    if type_[0] == "q":
        args.append(draw(st.sampled_from([0.25, 1, 7.0])))
    return {"_type": type_, "_value": args}


def spaces(finite=False, depth=3):
    """Spaces of up to three parameters a level, with choices nested up to `depth`."""
    plain = st.lists(OPTIONS, min_size=1, max_size=4, unique_by=_identity)
    entries = numeric(finite) | plain.map(lambda options: choice(*options))
    if depth:
        inner = spaces(finite, depth - 1) | st.just({})
        named = st.dictionaries(NAMES, inner, min_size=1, max_size=3)
        entries |= named.map(lambda b: choice(*({"_name": n, **s} for n, s in b.items())))
    return st.dictionaries(NAMES, entries, min_size=1, max_size=3)
