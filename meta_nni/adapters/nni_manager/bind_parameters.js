'use strict';
// Binds each parameter to its trial. NNI 3.0 puts new parameters into a queue that serves
// whichever trial asks first (NNI issues 5693 and 5726), so that concurrent trials, and all
// those after one that died before it asked, run another's parameters than the page shows.

/**
 * Replaces the class that hands out parameters: a trial's id is chosen before the trial
 * starts, and its parameters wait under that id, as NNI itself does for resumed trials.
 */
exports.mend = (exported, module) => {
    const { V3asV1 } = exported;
    if (V3asV1 === undefined) {
        throw new Error('this is not NNI 3.0: it has no class V3asV1 to bind parameters in');
    }
    exported.V3asV1 = class extends V3asV1 {
        chosenIds = new Map(); // sequence number of a trial that starts -> its id

        constructor(config) {
            super(config);
            this.parameters.push = () => 0; // the queue stays empty
            const create = this.v3.createTrial.bind(this.v3);
            this.v3.createTrial = (environment, command, folder, sequence, id) =>
                create(environment, command, folder, sequence, id ?? this.chosenIds.get(sequence));
        }

        async submitTrialJob(form) {
            const id = form.id ?? this.newId();
            this.chosenIds.set(form.sequenceId, id);
            this.allocatedParameters.set(id, form.hyperParameters.value);
            try {
                return await super.submitTrialJob(form);
            } finally {
                this.chosenIds.delete(form.sequenceId);
            }
        }

        newId() {
            const { uniqueString } = module.require('common/utils');
            let id;
            do {
                id = uniqueString(5); // as NNI's own
            } while (id in this.trialJobs);
            return id;
        }
    };
};
