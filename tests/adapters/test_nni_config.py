import pytest
from nni.experiment.config import ExperimentConfig

from meta_nni.adapters.nni_arguments import ArgumentError
from meta_nni.adapters.nni_config import check_class_args

OURS = "className: meta_nni.MetaTuner"


@pytest.fixture
def config(tmp_path):
    return tmp_path / "config.yml"


@pytest.mark.parametrize(
    "names", ["class_name: meta_nni.MetaTuner, class_args", f"{OURS}, classArgs"]
)
def test_an_argument_that_the_tuner_has_not_is_named(config, names):
    config.write_text(f"tuner: {{{names}: {{controler: meta}}}}")
    with pytest.raises(ArgumentError, match=r"'controler'.*did you mean 'controller'"):
        check_class_args(config)


@pytest.mark.parametrize(
    "text",
    [
        f"tuner: {{{OURS}}}",
        f"tuner: {{{OURS}, classArgs: {{space: cnn_small, seed: 1}}}}",
        "tuner: {className: my.Tuner, classArgs: {controler: 1}}",
        "tuner: {name: TPE, classArgs: {controler: 1}}",
        "{}",
    ],
)
def test_right_ones_and_those_of_other_tuners_pass(config, text):
    config.write_text(text)
    check_class_args(config)


@pytest.mark.parametrize("text", ["", "tuner: [", "trialConcurency: 2", "tuner: 3"])
def test_what_nnictl_itself_refuses_is_left_to_it(config, text):
    config.write_text(text)
    check_class_args(config)
    config.write_text("trialConcurrency: 2")
    assert ExperimentConfig.load(config).trial_concurrency == 2
