'use strict';
// Waits for the tuner as long as it lives. NNI 3.0 gives it ten seconds to import and connect,
// too few on a busy machine, and as many where it has already ended with an error.

const SECONDS = 120;

/** Gives a living tuner more time to connect; `reject` does nothing once it has. */
exports.mend = (exported) => {
    const server = exported.getTunerServer();
    server.init = () => {
        const late = () => reject(server, `did not connect in ${SECONDS} seconds`);
        setTimeout(late, 1000 * SECONDS).unref();
        return server.connect.promise;
    };
};

/** Ends the waiting when the tuner's process ends. */
exports.mendProcess = (exported, module) => {
    const { getTunerProc } = exported;
    exported.getTunerProc = (command, ...others) => {
        const started = getTunerProc(command, ...others);
        if (command.includes('--exp_params')) {
            const { getTunerServer } = module.require('core/tuner_command_channel');
            started.once('exit', (code) => reject(getTunerServer(), `ended with status ${code}`));
        }
        return started;
    };
};

function reject(server, what) {
    if (!server.connect.settled) {
        server.connect.reject(new Error(`the tuner ${what}; see dispatcher.log`));
    }
}
