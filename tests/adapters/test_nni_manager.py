"""The mends of NNI's manager, each alone, in NNI's own Node."""

import json
import subprocess
from pathlib import Path

import nni_node
import pytest

import meta_nni.adapters

MENDS = Path(meta_nni.adapters.__file__).parent / "nni_manager"


def node(program):
    """Runs a program in which `mend(name)` loads one of the mends; returns what it answers."""
    prelude = (
        f"const mend = (name) => require({json.dumps(str(MENDS))} + '/' + name);"
        "const answer = (value) => console.log(JSON.stringify(value));"
    )
    done = subprocess.run(
        [Path(nni_node.__file__).parent / "node", "-e", prelude + program],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "arguments",
    ["0", "'0'", "0, '0.0.0.0'", "0, () => {}", "{port: 0}", "{port: 0, host: '::'}", ""],
)
def test_every_server_listens_on_the_loopback_address(arguments):
    program = f"""
        mend('loopback').mendServers();
        const server = require('net').createServer();
        server.on('listening', () => {{ answer(server.address().address); server.close(); }});
        server.listen({arguments});
    """
    assert node(program) == "127.0.0.1"


def test_sockets_of_files_are_left(tmp_path):
    program = f"""
        mend('loopback').mendServers();
        const server = require('net').createServer();
        server.listen({json.dumps(str(tmp_path / "socket"))}, () => {{
            answer(server.address()); server.close();
        }});
    """
    assert node(program) == str(tmp_path / "socket")


def test_tensorboard_listens_on_the_loopback_address():
    program = """
        const utils = {getTunerProc: (command, ...others) => answer([command, others])};
        mend('loopback').mendTensorBoard(utils);
        utils.getTunerProc(['tensorboard', '--bind_all --logdir_spec=a', '--port=1'], 'ignore');
    """
    expected = ["tensorboard", "--host=127.0.0.1 --logdir_spec=a", "--port=1"]
    assert node(program) == [expected, ["ignore"]]


COMPAT = """
    class V3asV1 {
        parameters = [];
        allocatedParameters = new Map();
        trialJobs = {};
        constructor(v3) { this.v3 = v3; }
        async submitTrialJob(form) {  // as NNI's own, without its waiting
            this.parameters.push(form.hyperParameters.value);
            return this.v3.createTrial('env', 'command', 'folder', form.sequenceId);
        }
    }
    const exported = {V3asV1};
    let count = 0;
    const module_ = {require: () => ({uniqueString: () => 'id' + count++})};
    mend('bind_parameters').mend(exported, module_);
    const created = [];
    const v3 = {createTrial: async (...given) => { created.push(given); return given[4]; }};
    const service = new exported.V3asV1(v3);
    const form = (number, id) => (
        {id, sequenceId: number, hyperParameters: {value: 'config ' + number}});
"""


def test_parameters_wait_under_the_id_of_their_trial():
    program = f"""{COMPAT}
        Promise.all([0, 1].map((number) => service.submitTrialJob(form(number)))).then((ids) =>
            answer([ids, [...service.allocatedParameters], service.parameters.length]));
    """
    ids, waiting, queued = node(program)
    assert ids == ["id0", "id1"]
    assert waiting == [["id0", "config 0"], ["id1", "config 1"]]
    assert queued == 0


def test_an_id_in_use_is_not_taken_again():
    program = f"""{COMPAT}
        service.trialJobs.id0 = {{}};
        service.submitTrialJob(form(0)).then(answer);
    """
    assert node(program) == "id1"


def test_a_resumed_trial_keeps_its_id():
    program = f"{COMPAT} service.submitTrialJob(form(3, 'kept')).then(answer);"
    assert node(program) == "kept"


def test_another_nni_is_refused():
    program = "try { mend('bind_parameters').mend({}, {}); } catch (e) { answer(e.message); }"
    assert "not NNI 3.0" in node(program)


def test_only_the_manager_is_mended():
    program = """
        mend('index');
        const server = require('net').createServer();
        server.listen(0, '0.0.0.0', () => { answer(server.address().address); server.close(); });
    """
    assert node(program) == "0.0.0.0"
