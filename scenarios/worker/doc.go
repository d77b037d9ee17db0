// Package worker has the scenarios of bitvault-worker: each message that was acknowledged has one effect, whichever way workers and brokers go.
package worker

// usual is how many messages are published a second where nothing is to be caught in the middle.
const usual = 100

// busy is how many are published a second where a kill is to meet messages in the middle: as many as the workers finish on two cores with some to spare.
const busy = 150
