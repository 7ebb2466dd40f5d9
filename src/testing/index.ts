export { byteByByte, type Chunking, cutAt, randomly, seeded, whole } from './chunkings.js'
export { ConnectionHarness, type HarnessAnswers } from './connection-harness.js'
export { countingBytes, FakeClock } from './fake-clock.js'
export { recordTranscript, replayTranscript, type Transcript } from './transcript.js'
