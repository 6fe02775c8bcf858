"""Sizes of AutoKeras's candidates without their weights, against real builds."""

import numpy as np
import pytest

from meta_nni.cli.spaces import shipped_spaces
from meta_nni.models import KerasEvaluator
from meta_nni.models.hyperparameters import to_hyperparameters

pytestmark = pytest.mark.host


@pytest.fixture
def evaluator(tmp_path):
    def of(kind):
        rng = np.random.default_rng(0)
        x = {
            "image": rng.integers(0, 255, (60, 32, 32, 3)).astype(np.uint8),
            "text": np.array([f"{('red', 'green', 'blue')[i % 3]} w{i}" for i in range(60)]),
            "tabular": rng.normal(size=(60, 3)),
        }[kind]
        np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(60) % 3)
        return KerasEvaluator(f"autokeras_{kind}", {"npz": tmp_path / "x.npz"})

    return of


def built(evaluator, config):
    build = evaluator._builder()
    return build(config, evaluator.problem, 1, 32).model.count_params()


@pytest.mark.parametrize("block", ["vanilla", "resnet", "xception", "efficient"])
def test_every_block_of_images_has_the_size_of_its_model(evaluator, block, rng):
    evaluator = evaluator("image")
    space = shipped_spaces()["autokeras_image"]
    drawn = (space.sample(rng) for _ in range(100))
    config = next(c for c in drawn if c["image_block_1/block_type"]["_name"] == block)
    assert evaluator.count_parameters(config) == built(evaluator, config)


@pytest.mark.parametrize("kind", ["text", "tabular"])
def test_texts_and_tables_have_the_sizes_of_their_models(evaluator, kind, rng):
    evaluator = evaluator(kind)
    for _ in range(3):
        config = shipped_spaces()[f"autokeras_{kind}"].sample(rng)
        assert evaluator.count_parameters(config) == built(evaluator, config)


def test_what_has_no_weights_is_not_outlined_again(evaluator, rng, monkeypatch):
    from meta_nni.models import outline

    outlined = []
    real = outline.outline
    monkeypatch.setattr(outline, "outline", lambda *given: outlined.append(1) or real(*given))
    evaluator = evaluator("tabular")
    config = shipped_spaces()["autokeras_tabular"].sample(rng)
    name = "learning_rate"
    same, wide = {**config, name: 0.5}, dict(config)
    units = next(key for key in to_hyperparameters(config) if key.endswith("units_0"))
    wide[units] = next(n for n in (16, 512) if n != config[units])
    counts = [evaluator.count_parameters(each) for each in (config, same, wide)]
    assert counts[0] == counts[1] != counts[2]
    assert len(outlined) == 2
