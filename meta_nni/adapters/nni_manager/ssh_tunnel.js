'use strict';
// Remote workers reach the manager, which listens on the loopback address alone, through
// the ssh connection that the manager has to them.

const net = require('net');

/** Has a remote port forwarded to one of this machine; resolves to the remote port. */
function forward(client, port) {
    client.on('tcp connection', (info, accept) => {
        const there = accept();
        const here = net.connect(port, '127.0.0.1');
        there.pipe(here).pipe(there);
        there.on('error', () => here.destroy());
        here.on('error', () => there.destroy());
    });
    return new Promise((resolve, reject) => {
        client.forwardIn('127.0.0.1', 0, (error, remotePort) => {
            if (error) {
                const why = `the ssh server refuses to forward a port (${error.message})`;
                reject(new Error(`${why}; allow it with "AllowTcpForwarding yes" in sshd_config`));
            } else {
                resolve(remotePort);
            }
        });
    });
}

/** The worker's Python, started so that the Node it starts serves that machine alone. */
async function onLoopback(worker) {
    const print = "print(nni_launch.mended({})['NODE_OPTIONS'])";
    const code = `from meta_nni.adapters import nni_launch; ${print}`;
    const answer = await worker.ssh.exec(`${worker.python} -c "${code}"`);
    if (answer.code !== 0) {
        worker.log.warning('meta_nni is not installed there: its port for trials is open to all');
        return worker.python;
    }
    return `NODE_OPTIONS='${answer.stdout.trim()}' ${worker.python}`;
}

/** Opens the tunnel when a worker's ssh is connected, before its trial keeper starts. */
exports.mend = (exported) => {
    const launch = exported.Worker.prototype.launchTrialKeeperDaemon;
    exported.Worker.prototype.launchTrialKeeperDaemon = async function () {
        const url = new URL(this.channelUrl);
        url.port = await forward(this.ssh.client, Number(url.port));
        url.hostname = '127.0.0.1';
        this.channelUrl = url.href;
        this.python = await onLoopback(this);
        return launch.call(this);
    };
};
