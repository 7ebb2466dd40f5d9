import type { TextMasker } from '../../../core/index.js'
import type { ScpCommand } from './parse-command.js'

export interface ScpMachineOptions {
  /** What the target was permitted to run. */
  readonly command: ScpCommand
  /** The id of the next command: unique in its session. */
  readonly nextCommandId: () => number
  /** The channel it all comes on, for the commands. */
  readonly channelId?: number
  /** Masks the error texts of the target. Undefined: they stay as they are. */
  readonly textMasker?: TextMasker
  /**
   * What becomes of fetching a file where values are to be masked wherever text can carry them: its content cannot be masked,
   * since its length was told before. `refuse`: with reason `masking`. `pass`: unmasked. Default `refuse`.
   */
  readonly maskedReads?: 'refuse' | 'pass'
  /** Longest record or error line. Default 16 KiB, the buffer of OpenSSH. */
  readonly maxLineBytes?: number
  /** Longest path, which also limits how deep directories go. Default 4,096 bytes, the most that Linux takes. */
  readonly maxPathBytes?: number
  /** Bytes of one side that may wait for the other. Default 256 KiB. */
  readonly maxWaitingBytes?: number
}

export interface ScpLimits {
  readonly maxLineBytes: number
  readonly maxPathBytes: number
  readonly maxWaitingBytes: number
}

export function scpLimitsOf(options: ScpMachineOptions): ScpLimits {
  return {
    maxLineBytes: options.maxLineBytes ?? 16_384,
    maxPathBytes: options.maxPathBytes ?? 4_096,
    maxWaitingBytes: options.maxWaitingBytes ?? 256 * 1024,
  }
}
