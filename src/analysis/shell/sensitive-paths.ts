import { matchesShape } from './word-value.js'

/**
 * Paths that stand for their kind: a pattern such as `/etc/sh*` or `~/.s?h/*` is held against them. Those that begin with
 * `~` are meant in any home directory.
 */
const CREDENTIALS: readonly string[] = [
  ...['/etc/shadow', '/etc/shadow-', '/etc/gshadow', '/etc/gshadow-', '/etc/master.passwd', '/etc/security/opasswd'],
  ...['/etc/sudoers', '/etc/krb5.keytab', '/etc/ipsec.secrets', '/etc/ppp/chap-secrets', '/etc/my.cnf.d/client.cnf'],
  ...['/etc/mysql/debian.cnf', '/etc/kubernetes/admin.conf', '/etc/rancher/k3s/k3s.yaml', '/etc/machine-key'],
  ...['/proc/self/environ', '/proc/1/environ', '/proc/kcore', '/dev/mem', '/dev/kmem', '/var/lib/sss/secrets'],
  ...['~/.pgpass', '~/.my.cnf', '~/.netrc', '~/.git-credentials', '~/.npmrc', '~/.pypirc', '~/.vault-token', '~/.boto'],
  ...['~/.kube/config', '~/.docker/config.json', '~/.aws/credentials', '~/.aws/config', '~/.azure/accessTokens.json'],
  ...['~/.azure/msal_token_cache.json', '~/.config/gcloud/credentials.db', '~/.config/gh/hosts.yml', '~/.s3cfg'],
  ...['~/.config/gcloud/application_default_credentials.json', '~/.terraform.d/credentials.tfrc.json', '~/.htpasswd'],
  ...['~/.gem/credentials', '~/.cargo/credentials', '~/.config/rclone/rclone.conf', '~/.config/hub', '~/.passwd-s3fs'],
  ...['~/.ssh/id_rsa', '~/.ssh/id_ed25519', '~/.ssh/id_ecdsa', '~/.ssh/id_dsa', '~/.ssh/identity'],
  ...[
    '~/.gnupg/secring.gpg',
    '~/.gnupg/private-keys-v1.d/k.key',
    '~/.password-store/x.gpg',
    '~/.mozilla/firefox/logins.json',
  ],
]

/** Directories all of whose files are kept from others. */
const CREDENTIAL_FOLDERS: readonly string[] = [
  ...[
    '/etc/sudoers.d',
    '/etc/ssl/private',
    '/etc/pki/tls/private',
    '/etc/letsencrypt/live',
    '/etc/letsencrypt/archive',
  ],
  ...[
    '/etc/letsencrypt/keys',
    '/etc/kubernetes/pki',
    '/etc/wireguard',
    '/etc/openvpn',
    '/etc/NetworkManager/system-connections',
  ],
  ...[
    '/run/secrets',
    '/var/run/secrets',
    '/var/lib/kubelet/pki',
    '/var/lib/docker/swarm',
    '/var/lib/private',
    '/etc/vault',
  ],
]

const CREDENTIAL_HOME_FOLDERS: readonly string[] = [
  ...[
    '.ssh',
    '.gnupg',
    '.aws',
    '.kube',
    '.azure',
    '.config/gcloud',
    '.password-store',
    '.docker',
    '.config/sops',
    '.vault',
  ],
]

/** In folders that otherwise hold secrets. */
const PUBLIC_NAME = /(?:\.pub|\/known_hosts(?:\.old)?|\/authorized_keys2?|\/\.ssh\/config|\/\.ssh\/rc|\/\.docker)$/

const CREDENTIAL_NAME =
  /^(?:id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|ssh_host_[a-z0-9]+_key|\.pgpass|\.my\.cnf|\.netrc|_netrc|\.git-credentials|\.npmrc|\.pypirc|\.htpasswd|\.env(?:\.(?!example|sample|template|dist)[\w-]+)*|credentials(?:\.(?:json|ya?ml|csv|xml))?|secrets?\.(?:json|ya?ml|env|txt|toml)|kubeconfig|shadow-?|gshadow-?|master\.key|wallet\.dat|.+\.(?:kdbx?|p12|pfx|jks|keystore|ppk|keytab|ovpn)|.*(?:private|priv)[-_]?key.*|(?!.*(?:pub|cert|ca[-.])).+\.key|.*(?:privkey|key)\.pem|service[-_]account.*\.json|ntds\.dit|\.vault[-_]pass(?:word)?(?:\.txt)?)$/i

/** Whether reading or writing the path is about keys, passwords or tokens. Takes a shape, normalised. */
export function isCredentialPath(shape: string): boolean {
  const path = shape.replace(/^(?:\/root|\/home\/[^/]+|\/Users\/[^/]+|~[^/]*)(?=\/|$)/, '~')
  if (PUBLIC_NAME.test(path)) return false
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (CREDENTIAL_NAME.test(name)) return true
  if (/^\/proc\/[^/]+\/environ$/.test(path)) return true
  if (CREDENTIAL_FOLDERS.some((folder) => isBelow(path, folder))) return true
  if (CREDENTIAL_HOME_FOLDERS.some((folder) => isBelow(path, `~/${folder}`) || path.startsWith(`${folder}/`)))
    return true
  return CREDENTIALS.some((known) => fits(path, shape, known))
}

function fits(path: string, shape: string, known: string): boolean {
  if (path === known) return true
  if (!hasUnknown(path) || literalLength(path) < 4) return false
  // A home directory by its own path fits what is known of `~`.
  if (known.startsWith('~')) {
    const tail = known.slice(1)
    return matchesShape(path, known) || matchesShape(shape, `/root${tail}`) || matchesShape(shape, `/home/user${tail}`)
  }
  return matchesShape(shape, known)
}

function hasUnknown(shape: string): boolean {
  // biome-ignore lint: the markers of shapes
  return /[\u0000\u0001]/.test(shape)
}

function literalLength(shape: string): number {
  // biome-ignore lint: the markers of shapes
  return shape.replace(/[\u0000\u0001/]/g, '').length
}

export function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`)
}

/** A disk, partition, mapped volume or raw memory. */
export function isDevicePath(shape: string): boolean {
  return /^\/dev\/(?:sd|hd|vd|xvd|nvme|mmcblk|dm-|md|mapper\/|disk\/|loop\d|sr\d|nbd|zd|ram\d|mem$|kmem$|port$|block\/|mtd|vg|\u0000|[shvx]+\u0000)/.test(
    shape,
  )
}

/** Where leaving and removing files is what the place is for. */
export function isTemporary(path: string): boolean {
  return /^\/(?:tmp|var\/tmp|dev\/shm|private\/tmp)\/./s.test(path) && !/(?:^|\/)\.\.(?:\/|$)/.test(path)
}

/** Where something written is run later by somebody. */
export function isPersistencePath(shape: string): boolean {
  const path = shape.replace(/^(?:\/root|\/home\/[^/]+|\/Users\/[^/]+|~[^/]*)(?=\/|$)/, '~')
  return (
    /^\/etc\/(?:cron|at\.|anacrontab|init\.d|rc\d?\.|rc\.local|systemd\/|profile|bash|zsh|environment|ld\.so|udev\/|xdg\/autostart|update-motd|pam\.d|inittab|modules|modprobe|X11\/xinit|apt\/apt\.conf|skel\/|logrotate\.d)/.test(
      path,
    ) ||
    /^\/(?:var\/spool\/(?:cron|at)|(?:usr\/)?lib\/systemd\/|run\/systemd\/|usr\/lib\/udev|lib\/udev)/.test(path) ||
    /^~?\/?\.(?:bash(?:rc|_profile|_login|_logout|_aliases)|profile|zshrc|zshenv|zprofile|zlogin|kshrc|inputrc|xinitrc|xprofile|forward|pam_environment|ssh\/(?:authorized_keys2?|rc|environment)|config\/(?:autostart|systemd|fish)\/|gitconfig|vimrc|exrc|local\/share\/systemd)/.test(
      path,
    ) ||
    /(?:^|\/)(?:authorized_keys2?|\.git\/hooks\/[^/]+|crontab)$/.test(path)
  )
}

/** Who may do what is written here. */
export function isPrivilegePath(path: string): boolean {
  return /^\/etc\/(?:passwd|shadow|group|gshadow|sudoers|doas\.conf|pam\.d|security\/|ssh\/sshd_config|login\.defs|polkit-1\/|selinux\/|apparmor|subuid|subgid|ld\.so\.preload|hosts\.(?:allow|deny)|shells)/.test(
    path,
  )
}

/** What was done is written here. */
export function isLogPath(shape: string): boolean {
  const path = shape.replace(/^(?:\/root|\/home\/[^/]+|\/Users\/[^/]+|~[^/]*)(?=\/|$)/, '~')
  return (
    isBelow(path, '/var/log') ||
    /^\/(?:run|var\/run)\/(?:utmp|log)/.test(path) ||
    /^(?:~?\/)?\.(?:\w+_)?history$/.test(path) ||
    /(?:^|\/)\.(?:bash|zsh|sh|ksh|python|mysql|psql|rediscli|node_repl)_?history$/.test(path) ||
    /^\/etc\/(?:rsyslog|syslog|audit|logrotate)/.test(path)
  )
}
