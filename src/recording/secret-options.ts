/** An option of a program whose value is a secret, or has one behind a separator. */
export interface SecretOption {
  readonly flag: string
  /** `next`: the value is the next word. `attached`: it stands right behind the flag, `either`: one of the two. */
  readonly form: 'next' | 'attached' | 'either'
  /** Only what is behind this, as in `user:password`. Missing: all of it. */
  readonly behind?: string
  /** Only where this word is there too, as in `docker login`. */
  readonly subcommand?: string
}

const either = (flag: string, behind?: string): SecretOption => ({
  flag,
  form: 'either',
  ...(behind === undefined ? {} : { behind }),
})

const CURL: readonly SecretOption[] = [
  either('-u', ':'),
  either('-U', ':'),
  either('--user', ':'),
  either('--proxy-user', ':'),
  either('-E', ':'),
  either('--cert', ':'),
  either('-b'),
  either('--cookie'),
  either('--oauth2-bearer'),
]
const LOGIN: readonly SecretOption[] = [{ flag: '-p', form: 'next', subcommand: 'login' }]

/** Short options that carry secrets: by themselves they say nothing, and for other programs they mean other things. */
const PROGRAMS: readonly (readonly [RegExp, readonly SecretOption[]])[] = [
  [
    /^(?:mysql|mariadb|mycli|mytop|xtrabackup|mariabackup|innobackupex|7z|rar|unrar)/,
    [{ flag: '-p', form: 'attached' }],
  ],
  [/^(?:sshpass|mongo|mongosh|mongodump|mongorestore|mongoexport|mongoimport|useradd|usermod)$/, [either('-p')]],
  [/^curl$/, CURL],
  [/^(?:http|https|xh)$/, [either('-a', ':')]],
  [/^(?:redis-cli|valkey-cli|keydb-cli)$/, [either('-a')]],
  [/^(?:sqlcmd|bcp|isql|tsql|zip|unzip|ipmitool)$/, [either('-P')]],
  [/^(?:docker|podman|nerdctl|buildah|skopeo|oc|az|helm)$/, LOGIN],
  [/^ldap/, [either('-w')]],
  [/^(?:smbclient|rpcclient|net|smbget|smbmap)$/, [either('-U', '%')]],
  [/^openssl$/, [either('-k'), either('-K')]],
  [/^snmp/, [either('-A'), either('-X')]],
  [/^(?:xfreerdp|wlfreerdp)/, [{ flag: '/p:', form: 'attached' }]],
  [/^kubectl$/, [either('--from-literal', '=')]],
]

const NONE: readonly SecretOption[] = Object.freeze([])
/** One look for most words, which name no program at all. */
const ANY_PROGRAM = new RegExp(PROGRAMS.map(([name]) => name.source).join('|'))

/** By a program's base name. */
export function secretOptionsOf(program: string): readonly SecretOption[] {
  if (!ANY_PROGRAM.test(program)) return NONE
  return PROGRAMS.filter(([name]) => name.test(program)).flatMap(([, options]) => options)
}

const SECRET_NAME =
  /(?:passwords?|passwd|passphrase|passcode|pass|pwd|passin|passout|secrets?|token|api[_-]?key|(?:access|secret|private|auth|account|storage|encryption|signing|master|deploy)[_-]?key|credentials?|authorization|auth|bearer)$/i
const NO_SECRET_NAME = /^(?:old)?pwd$|^no-|(?:by|com|tres)pass$/i
const KEY_VARIABLE = /^[A-Z][A-Z0-9_]*_KEY(?:_ID)?$/

/** Whether what is set under this name, or given by this option, is a secret by the look of the name. */
export function isSecretName(name: string): boolean {
  const bare = name.replace(/^-+/, '')
  return (SECRET_NAME.test(bare) && !NO_SECRET_NAME.test(bare)) || KEY_VARIABLE.test(bare)
}

const STDIN_READER = /^(?:chpasswd|passwd|su|sudo|cryptsetup|smbpasswd|htpasswd|vault|gh|glab)$/
const STDIN_FLAG = /^--(?:[\w-]*(?:password|passphrase|secret|token)-stdin|with-token|passphrase-fd|stdin)/

/** Whether a command takes a secret from its standard input. */
export function readsSecretFromInput(words: readonly string[]): boolean {
  return words.some((word) => STDIN_READER.test(word.slice(word.lastIndexOf('/') + 1)) || STDIN_FLAG.test(word))
}
