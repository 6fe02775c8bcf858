'use strict';
// Keeps NNI's servers to this machine: its page and REST interface, which have no password
// and can start any command, and TensorBoard, which the page can start.

const net = require('net');

const HOST = '127.0.0.1';

/** The arguments of `server.listen`, with the loopback address; sockets of files are left. */
function onLoopback(first, ...others) {
    if (typeof first === 'object' && first !== null) {
        const isTcp = first.port !== undefined;
        return [isTcp ? { ...first, host: HOST } : first, ...others];
    }
    if (typeof first === 'string' && !/^\d+$/.test(first)) {
        return [first, ...others];
    }
    const port = typeof first === 'function' || first === undefined ? 0 : first;
    return [{ port, host: HOST }, [first, ...others].find((each) => typeof each === 'function')];
}

/** Makes every TCP server of this process listen on the loopback address alone. */
exports.mendServers = () => {
    const { listen } = net.Server.prototype;
    net.Server.prototype.listen = function (...parameters) {
        return listen.apply(this, onLoopback(...parameters));
    };
};

/** Has TensorBoard listen on the loopback address, not on all. */
exports.mendTensorBoard = (exported) => {
    const { getTunerProc } = exported;
    exported.getTunerProc = (command, ...others) =>
        getTunerProc(
            command.map((part) => part.replace('--bind_all', `--host=${HOST}`)),
            ...others
        );
};
