from nni.tools import package_utils

import meta_nni
from meta_nni.adapters.nni_register import NAME, register


def test_registering_twice_is_registering_once(monkeypatch, tmp_path):
    monkeypatch.setenv("NNI_CONFIG_DIR", str(tmp_path))
    assert package_utils.get_algo_meta(NAME) is None
    register()
    register()
    names = [meta.name for meta in package_utils.get_all_algo_meta()]
    assert names.count("MetaNAS") == 1
    module, name = package_utils.get_algo_meta(NAME).class_name.rsplit(".", 1)
    assert (module, getattr(meta_nni, name)) == ("meta_nni", meta_nni.MetaTuner)
