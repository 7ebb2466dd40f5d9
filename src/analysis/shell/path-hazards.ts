import type { FileAccessMode, ShellHazard } from '../../core/index.js'
import type { ResolvedPath } from './paths.js'
import {
  isCredentialPath,
  isDevicePath,
  isLogPath,
  isPersistencePath,
  isPrivilegePath,
  isTemporary,
} from './sensitive-paths.js'

const ESSENTIAL =
  /^\/(?:(?:bin|boot|dev|lib|lib32|lib64|libx32|proc|sbin|sys)(?:\/|$)|usr\/(?:bin|sbin|lib|lib64|libexec|share)(?:\/|$)|etc\/(?:passwd|group|shadow|fstab|hosts|resolv\.conf|ssl|pam|ssh|systemd|sudoers|ld\.so|nsswitch|init|default|network|netplan)|(?:etc|home|opt|root|run|srv|usr|var|usr\/local|var\/lib|var\/log|\u0000)?$)/
const PROGRAMS = /^\/(?:usr\/)?(?:bin|sbin|lib|lib64)\//
/** Whole trees in which there is always some key or password file. */
const TREES = /^(?:\/|\/etc|~[^/]*|\/root|\/home|\/home\/[^/]+|\/Users\/[^/]+|\/proc|\/run|\/var|\/var\/lib)$/

export interface AccessManner {
  readonly isRecursive: boolean
  readonly isAppended: boolean
  /** It goes on under another name. */
  readonly isMoved: boolean
  /** The word may become several. */
  readonly mayVary: boolean
}

/** What follows from touching a path alone, whatever touches it. */
export function pathHazards(
  path: ResolvedPath,
  modes: readonly FileAccessMode[],
  manner: AccessManner,
): readonly ShellHazard[] {
  const { shape } = path
  const hazards: ShellHazard[] = []
  const writes = modes.includes('write') || modes.includes('create')
  const deletes = modes.includes('delete')
  if (modes.includes('read') || writes || deletes) {
    if (isCredentialPath(shape) || (manner.isRecursive && modes.includes('read') && TREES.test(shape)))
      hazards.push('credential-file')
  }
  if (deletes && isDestructive(path, manner)) hazards.push('destructive-delete')
  if (!writes && !deletes) return hazards
  if (isDevicePath(shape)) hazards.push('disk-overwrite')
  if (isLogPath(shape) && !manner.isAppended) hazards.push('log-tampering')
  if (isPrivilegePath(shape)) hazards.push('privilege-change')
  if (writes && (isPersistencePath(shape) || PROGRAMS.test(shape))) hazards.push('persistence')
  if (writes && /^\/proc\/sysrq-trigger$/.test(shape)) hazards.push('shutdown')
  if (
    writes &&
    /^\/proc\/sys\/kernel\/(?:core_pattern|modprobe|hotplug)|\/sys\/.*\/(?:release_agent|uevent_helper)$/.test(shape)
  ) {
    hazards.push('persistence', 'privilege-change')
  }
  return hazards
}

/** Recursively or by pattern outside of temporary directories, or what a system needs. */
function isDestructive(
  { shape, isExact, path }: ResolvedPath,
  { isRecursive, mayVary, isMoved }: AccessManner,
): boolean {
  if (ESSENTIAL.test(shape)) return true
  // A variable may hold a way out of it.
  if (isTemporary(isExact ? path : shape) && !/[$`]/.test(path)) return false
  return !isMoved && (isRecursive || mayVary)
}
