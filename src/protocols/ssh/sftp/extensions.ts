/**
 * Extensions of OpenSSH that are decoded, by the name the server announces them with. Any other is taken out of the server's
 * announcement and refused.
 *
 * @see https://github.com/openssh/openssh-portable/blob/master/PROTOCOL section 4
 */
export const SFTP_EXTENSIONS = [
  'posix-rename@openssh.com',
  'statvfs@openssh.com',
  'fstatvfs@openssh.com',
  'hardlink@openssh.com',
  'fsync@openssh.com',
  'lsetstat@openssh.com',
  'limits@openssh.com',
  'expand-path@openssh.com',
  'copy-data',
  'home-directory',
  'users-groups-by-id@openssh.com',
] as const

export type SftpExtension = (typeof SFTP_EXTENSIONS)[number]

/** The one version of each whose fields are known. */
const VERSIONS: Readonly<Record<SftpExtension, string>> = {
  'posix-rename@openssh.com': '1',
  'statvfs@openssh.com': '2',
  'fstatvfs@openssh.com': '2',
  'hardlink@openssh.com': '1',
  'fsync@openssh.com': '1',
  'lsetstat@openssh.com': '1',
  'limits@openssh.com': '1',
  'expand-path@openssh.com': '1',
  'copy-data': '1',
  'home-directory': '1',
  'users-groups-by-id@openssh.com': '1',
}

export function isKnownExtension(name: string, version: string): name is SftpExtension {
  return Object.hasOwn(VERSIONS, name) && VERSIONS[name as SftpExtension] === version
}
