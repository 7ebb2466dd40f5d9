/**
 * Packet types of SFTP version 3.
 *
 * @see draft-ietf-secsh-filexfer-02 section 3
 */
export const INIT = 1
export const VERSION = 2
export const OPEN = 3
export const CLOSE = 4
export const READ = 5
export const WRITE = 6
export const LSTAT = 7
export const FSTAT = 8
export const SETSTAT = 9
export const FSETSTAT = 10
export const OPENDIR = 11
export const READDIR = 12
export const REMOVE = 13
export const MKDIR = 14
export const RMDIR = 15
export const REALPATH = 16
export const STAT = 17
export const RENAME = 18
export const READLINK = 19
export const SYMLINK = 20
export const STATUS = 101
export const HANDLE = 102
export const DATA = 103
export const NAME = 104
export const ATTRS = 105
export const EXTENDED = 200
export const EXTENDED_REPLY = 201

const NAMES: Readonly<Record<number, string>> = {
  [INIT]: 'INIT',
  [VERSION]: 'VERSION',
  [OPEN]: 'OPEN',
  [CLOSE]: 'CLOSE',
  [READ]: 'READ',
  [WRITE]: 'WRITE',
  [LSTAT]: 'LSTAT',
  [FSTAT]: 'FSTAT',
  [SETSTAT]: 'SETSTAT',
  [FSETSTAT]: 'FSETSTAT',
  [OPENDIR]: 'OPENDIR',
  [READDIR]: 'READDIR',
  [REMOVE]: 'REMOVE',
  [MKDIR]: 'MKDIR',
  [RMDIR]: 'RMDIR',
  [REALPATH]: 'REALPATH',
  [STAT]: 'STAT',
  [RENAME]: 'RENAME',
  [READLINK]: 'READLINK',
  [SYMLINK]: 'SYMLINK',
  [STATUS]: 'STATUS',
  [HANDLE]: 'HANDLE',
  [DATA]: 'DATA',
  [NAME]: 'NAME',
  [ATTRS]: 'ATTRS',
  [EXTENDED]: 'EXTENDED',
  [EXTENDED_REPLY]: 'EXTENDED_REPLY',
}

/** Such as `SSH_FXP_OPEN`; the number for what is unknown. */
export function packetName(type: number): string {
  return `SSH_FXP_${NAMES[type] ?? type}`
}

/** Flags of SSH_FXP_OPEN (section 6.3). */
export const PFLAG_READ = 0x01
export const PFLAG_WRITE = 0x02
export const PFLAG_APPEND = 0x04
export const PFLAG_CREATE = 0x08
export const PFLAG_TRUNCATE = 0x10
export const PFLAG_EXCLUSIVE = 0x20
export const PFLAGS_KNOWN = 0x3f

/** Flags of ATTRS (section 5). */
export const ATTR_SIZE = 0x01
export const ATTR_UIDGID = 0x02
export const ATTR_PERMISSIONS = 0x04
export const ATTR_TIMES = 0x08
export const ATTRS_KNOWN = 0x0f

/** Codes of SSH_FXP_STATUS (section 7). */
export const FX_OK = 0
export const FX_EOF = 1
export const FX_PERMISSION_DENIED = 3
export const FX_FAILURE = 4
export const FX_BAD_MESSAGE = 5
export const FX_OP_UNSUPPORTED = 8

const STATUS_NAMES = [
  'OK',
  'EOF',
  'NO_SUCH_FILE',
  'PERMISSION_DENIED',
  'FAILURE',
  'BAD_MESSAGE',
  'NO_CONNECTION',
  'CONNECTION_LOST',
  'OP_UNSUPPORTED',
]

/** Such as `SSH_FX_FAILURE`. */
export function statusName(code: number): string {
  return `SSH_FX_${STATUS_NAMES[code] ?? code}`
}
