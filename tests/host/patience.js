'use strict';
// Gives a tuner more than NNI's ten seconds to connect, which are too few on a busy machine.
// Tests of plain nnictl name this file in NODE_OPTIONS; all else of NNI's manager stays as it is.

const Module = require('module');
const path = require('path');

const { mend, mendProcess } = require('../../meta_nni/adapters/nni_manager/await_tuner');

const mends = {
    [path.join('nni_node', 'core', 'tuner_command_channel.js')]: mend,
    [path.join('nni_node', 'common', 'utils.js')]: mendProcess,
};

const load = Module._extensions['.js'];
Module._extensions['.js'] = (module, filename) => {
    load(module, filename);
    const name = filename.split(path.sep).slice(-3).join(path.sep);
    mends[name]?.(module.exports, module);
};
