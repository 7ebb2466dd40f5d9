import { positiveLimits, type ShellAnalyzer, type TextMasker } from '../../core/index.js'
import { GUARDED_SHELL_COMMAND } from './line/index.js'

export interface SshLimits {
  /** Channels open at a time. Default 128: a multiplexing client uses some 20. */
  readonly maxChannels?: number
  /** What a side may send on a channel before we have passed it on. Default 2 MiB, as OpenSSH: full speed over long distances. */
  readonly windowBytes?: number
  /** The same while nothing runs on the channel yet, as during a hold. Default 64 KiB. */
  readonly heldWindowBytes?: number
  /** Requests of one channel, or of the connection, waiting behind one that is being decided. Default 64. */
  readonly maxWaitingRequests?: number
  /** Environment variables of one channel. Default 128, and 128 KiB. */
  readonly maxEnvironmentVariables?: number
  readonly maxEnvironmentBytes?: number
  /** Listeners on the target, for the client. Default 32. */
  readonly maxListeners?: number
  /** Messages of a client that is faster than the connection to its target. Default 1 MiB. */
  readonly maxEarlyBytes?: number
  /** Output waiting for the maskers' decision, per stream. Default 64 KiB. */
  readonly maxHoldBackBytes?: number
  /** How long output waits for that decision: on terminals, where people wait for a prompt, default 50 ms; */
  readonly terminalHoldBackMs?: number
  /** elsewhere, default 500 ms. */
  readonly holdBackMs?: number
}

/** What whoever logged in may do at all, whatever the policy says: limits of keys and certificates. */
export interface SshPermissions {
  readonly allowsPty: boolean
  readonly allowsPortForwarding: boolean
  readonly allowsAgentForwarding: boolean
  readonly allowsX11Forwarding: boolean
  /** Runs in place of whatever is asked for, which it finds in `SSH_ORIGINAL_COMMAND`. */
  readonly forcedCommand?: string
}

export interface SshConnectionOptions {
  readonly shellAnalyzer: ShellAnalyzer
  /** For text that belongs to no one command. Undefined: nothing to mask. */
  readonly textMasker?: TextMasker | undefined
  /** Default: no limits but the policy's. */
  readonly permissions?: SshPermissions
  /**
   * Run in place of the user's shell behind a guarded terminal: one that reads lines as they are. Default
   * {@link GUARDED_SHELL_COMMAND}, which needs bash on the target.
   */
  readonly guardedShellCommand?: string
  readonly limits?: SshLimits
}

export const ALL_SSH_PERMISSIONS: SshPermissions = {
  allowsPty: true,
  allowsPortForwarding: true,
  allowsAgentForwarding: true,
  allowsX11Forwarding: true,
}

export const DEFAULT_GUARDED_SHELL_COMMAND: string = GUARDED_SHELL_COMMAND

export type ResolvedSshLimits = Required<SshLimits>

/** Ours; every implementation takes as much (RFC 4253 section 6.1). */
export const MAX_PACKET_BYTES = 32_768

/** @throws SallyportError `invalid_option` */
export function resolveSshLimits(limits: SshLimits = {}): ResolvedSshLimits {
  return positiveLimits<ResolvedSshLimits>({
    maxChannels: limits.maxChannels ?? 128,
    windowBytes: limits.windowBytes ?? 2_097_152,
    heldWindowBytes: limits.heldWindowBytes ?? 65_536,
    maxWaitingRequests: limits.maxWaitingRequests ?? 64,
    maxEnvironmentVariables: limits.maxEnvironmentVariables ?? 128,
    maxEnvironmentBytes: limits.maxEnvironmentBytes ?? 131_072,
    maxListeners: limits.maxListeners ?? 32,
    maxEarlyBytes: limits.maxEarlyBytes ?? 1_048_576,
    maxHoldBackBytes: limits.maxHoldBackBytes ?? 65_536,
    terminalHoldBackMs: limits.terminalHoldBackMs ?? 50,
    holdBackMs: limits.holdBackMs ?? 500,
  })
}
