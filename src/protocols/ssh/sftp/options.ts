import type { TextMasker } from '../../../core/index.js'
import { SFTP_EXTENSIONS, type SftpExtension } from './extensions.js'

export interface SftpMachineOptions {
  /** The id of the next command: unique in its session. */
  readonly nextCommandId: () => number
  /** The channel it all comes on, for the commands. */
  readonly channelId?: number
  /** Masks the error texts of the server. Undefined: they stay as they are. */
  readonly textMasker?: TextMasker
  /** Extensions a client may see and use. Default: all of {@link SFTP_EXTENSIONS}. */
  readonly extensions?: ReadonlySet<SftpExtension>
  /**
   * Which argument of SSH_FXP_SYMLINK is the link. `openssh`: the second, as OpenSSH and nearly all others have it;
   * `draft`: the first. It must be what the target does, or rules see the two paths in each other's place. Default `openssh`.
   */
  readonly symlinkOrder?: 'openssh' | 'draft'
  /**
   * What becomes of opening a file for reading where values are to be masked wherever text can carry them. The content of a
   * file cannot be masked without breaking it. `refuse`: the client gets SSH_FX_PERMISSION_DENIED, with reason `masking`.
   * `pass`: it is read unmasked. Default `refuse`.
   */
  readonly maskedReads?: 'refuse' | 'pass'
  /** Longest packet. Default 257 KiB: the 256 KiB that OpenSSH takes and the header that some count apart. */
  readonly maxPacketBytes?: number
  /** Longest path. Default 4,096 bytes, the most that Linux takes. */
  readonly maxPathBytes?: number
  /** Requests that may wait for the server; the client's next ones wait. Default 1,024: sixteen times what OpenSSH sends. */
  readonly maxRequests?: number
  /** Files and directories open at a time. Default 1,024: the usual limit of the server's process. */
  readonly maxHandles?: number
  /** Bytes of the client that may wait behind a command. Default 1 MiB: four of the longest packets. */
  readonly maxWaitingBytes?: number
}

export interface SftpLimits {
  readonly maxPacketBytes: number
  readonly maxPathBytes: number
  readonly maxRequests: number
  readonly maxHandles: number
  readonly maxWaitingBytes: number
}

export function sftpLimitsOf(options: SftpMachineOptions): SftpLimits {
  return {
    maxPacketBytes: options.maxPacketBytes ?? 257 * 1024,
    maxPathBytes: options.maxPathBytes ?? 4_096,
    maxRequests: options.maxRequests ?? 1_024,
    maxHandles: options.maxHandles ?? 1_024,
    maxWaitingBytes: options.maxWaitingBytes ?? 1024 * 1024,
  }
}

export function sftpExtensionsOf(options: SftpMachineOptions): ReadonlySet<string> {
  return options.extensions ?? new Set(SFTP_EXTENSIONS)
}
