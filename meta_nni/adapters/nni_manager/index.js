'use strict';
// Mends NNI 3.0's manager as it loads, without a change to its files, and on ssh workers its
// trial keeper. `meta-nni launch` names this file in NODE_OPTIONS: see nni_launch.py.

const fs = require('fs');
const Module = require('module');
const path = require('path');

const { mend: bindParameters } = require('./bind_parameters');
const { mendServers, mendTensorBoard } = require('./loopback');
const { mend: awaitTuner, mendProcess: watchTuner } = require('./await_tuner');
const { mend: tunnel } = require('./ssh_tunnel');

/** What to do to which of the manager's files, once they are loaded. */
const mends = {
    [path.join('training_service', 'v3', 'compat.js')]: [bindParameters],
    [path.join('training_service', 'remote_v3', 'worker.js')]: [tunnel],
    [path.join('core', 'tuner_command_channel.js')]: [awaitTuner],
    [path.join('common', 'utils.js')]: [mendTensorBoard, watchTuner],
};

const main = process.argv[1] === undefined ? '' : fs.realpathSync(process.argv[1]);
const isManager = main.endsWith(path.join('nni_node', 'main.js'));
const isTrialKeeper = main.endsWith(path.join('nni_node', 'common', 'trial_keeper', 'main.js'));

if (isManager || isTrialKeeper) {
    // Trials and tuners inherit this process's environment; a Node among them is none of ours.
    const ours = `--require ${JSON.stringify(__filename)}`;
    process.env.NODE_OPTIONS = process.env.NODE_OPTIONS.replace(ours, '').trim();
    if (!process.env.NODE_OPTIONS) {
        delete process.env.NODE_OPTIONS;
    }
    mendServers();
}

if (isManager) {
    const folder = path.dirname(main);
    const load = Module._extensions['.js'];
    Module._extensions['.js'] = (module, filename) => {
        load(module, filename);
        for (const mend of mends[path.relative(folder, filename)] ?? []) {
            mend(module.exports, module);
        }
    };
}
