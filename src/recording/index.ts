export {
  RECORDING_FORMAT,
  RECORDING_VERSION,
  type AlertEvent,
  type AnswerEvent,
  type ApprovalEvent,
  type CommandEvent,
  type HoldEvent,
  type LineType,
  type NoteEvent,
  type OutputEvent,
  type RecordedVerdict,
  type RecordingEvent,
  type RecordingHeader,
} from './types.js'
export type { RecordStore, SegmentWriter } from './store.js'
export { MemoryRecordStore } from './memory-store.js'
export { segmentName } from './segment-name.js'
export {
  createRecorder,
  type Durability,
  type Recorder,
  type RecorderOptions,
  type SessionRecorder,
} from './recorder.js'
export { redactSecretsInSql } from './redact-sql.js'
export { commitmentKeyOf, textCommitment } from './commitment.js'
