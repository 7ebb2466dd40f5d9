export type { FileChannelEvent, FileMachine } from './events.js'
