import { defineRule } from './create-policy.js'
import type { Rule } from './rule.js'

/**
 * What hardly any client of a PostgreSQL server should do unasked. It allows nothing: add the rules that
 * say what your subjects may do. The same rules stand as a policy file in `docs/policy.md`.
 */
const postgresBaseline: readonly Rule[] = [
  defineRule({
    id: 'baseline/server-files',
    description: 'COPY from and to server files and programs, pg_read_file, lo_import and the like.',
    effect: 'deny',
    match: { dialects: 'postgres', touchesFiles: true },
    message: "the server's files and programs are out of reach here",
    hint: 'use COPY ... FROM STDIN or TO STDOUT',
  }),
  defineRule({
    id: 'baseline/hazardous-functions',
    description: 'Functions known to reach files, programs, other hosts or the server itself.',
    effect: 'deny',
    match: { dialects: 'postgres', functionHazards: ['file', 'program', 'network', 'admin'] },
    message: 'this function reaches beyond the database',
  }),
  defineRule({
    id: 'baseline/dynamic-sql',
    description: 'SQL that is not in the text cannot be judged: DO, query_to_xml, EXECUTE in a function body.',
    effect: 'deny',
    match: { dialects: 'postgres', isDynamic: true },
    message: 'SQL inside of SQL cannot be judged',
    hint: 'send the inner statement itself',
  }),
  defineRule({
    id: 'baseline/privileges',
    description: 'Roles, grants, server settings. Functions of unknown body are left to the rules that allow them.',
    effect: 'deny',
    match: { dialects: 'postgres', classes: ['dcl', 'admin'], not: { classes: ['unknown', 'write', 'ddl'] } },
    message: 'roles, grants and the server itself are not changed through here',
  }),
  defineRule({
    id: 'baseline/credential-catalogs',
    description: 'Password hashes, foreign credentials, and statistics that contain values of every column.',
    effect: 'deny',
    match: {
      dialects: 'postgres',
      tables: [
        'pg_authid',
        'pg_shadow',
        'pg_user_mapping',
        'pg_user_mappings',
        'pg_largeobject',
        'pg_statistic',
        'pg_stats',
        'pg_statistic_ext_data',
        'pg_stats_ext*',
        'pg_hba_file_rules',
        'pg_file_settings',
        'pg_toast_*',
      ],
    },
    message: 'this catalogue holds secrets or samples of data',
  }),
  defineRule({
    id: 'baseline/schema-changes',
    description: 'DDL waits for a person.',
    effect: 'hold',
    match: { dialects: 'postgres', classes: 'ddl', not: { classes: ['unknown', 'write'] } },
    message: 'a change of schema needs an approval',
  }),
  defineRule({
    id: 'baseline/whole-table-writes',
    description: 'UPDATE and DELETE without WHERE wait for a person.',
    effect: 'hold',
    match: { dialects: 'postgres', missingWhere: true },
    message: 'a write to every row needs an approval',
    hint: 'add a WHERE clause',
  }),
  defineRule({
    id: 'baseline/truncate',
    effect: 'hold',
    match: { dialects: 'postgres', verbs: 'truncate' },
    message: 'emptying a table needs an approval',
  }),
]

/** Variables that change how text looks, and nothing that runs. */
const HARMLESS_VARIABLES = ['LANG', 'LANGUAGE', 'LC_*', 'TERM', 'COLORTERM', 'NO_COLOR', 'TZ']

/**
 * What hardly anybody should do in a shell, or to the files behind it, unasked. It allows nothing: add the rules that say
 * what your subjects may do. The same rules stand as a policy file in `docs/policy.md`.
 */
const shellBaseline: readonly Rule[] = [
  defineRule({
    id: 'shell/destructive-deletion',
    description: 'Recursive or sweeping deletion, and deletion of what a system needs.',
    effect: 'deny',
    match: { hazards: 'destructive-delete' },
    message: 'this deletes more than can be taken back',
    hint: 'delete single files by name',
  }),
  defineRule({
    id: 'shell/disk-overwrite',
    description: 'Writing to disks and partitions, making and wiping file systems.',
    effect: 'deny',
    match: { hazards: 'disk-overwrite' },
    message: 'disks and file systems are not overwritten through here',
  }),
  defineRule({
    id: 'shell/device-files',
    description: 'The same by file transfer.',
    effect: 'deny',
    match: { kinds: 'sftp', files: { files: ['/dev/**', '/proc/**', '/sys/**'], access: 'change' } },
    message: 'devices and the kernel are not written to through here',
  }),
  defineRule({
    id: 'shell/credentials',
    description: 'Private keys, password files, tokens, cloud and cluster credentials.',
    effect: 'deny',
    match: { hazards: 'credential-file' },
    message: 'this file holds credentials',
  }),
  defineRule({
    id: 'shell/credential-files',
    description: 'The same by file transfer.',
    effect: 'deny',
    match: {
      kinds: 'sftp',
      files: {
        files: [
          '/etc/shadow*',
          '/etc/gshadow*',
          '/etc/sudoers',
          '/etc/krb5.keytab',
          '/etc/ssh/ssh_host_*_key',
          '/etc/kubernetes/*.conf',
          '**/.ssh/id_*',
          '**/.ssh/*.pem',
          '**/id_rsa',
          '**/id_dsa',
          '**/id_ecdsa',
          '**/id_ed25519',
          '**/.aws/credentials',
          '**/.azure/*.json',
          '**/.config/gcloud/*.db',
          '**/.config/gcloud/*.json',
          '**/.docker/config.json',
          '**/.git-credentials',
          '**/.gnupg/private-keys-v1.d/*',
          '**/.kube/config',
          '**/.netrc',
          '**/.npmrc',
          '**/.pgpass',
          '**/.my.cnf',
          '**/.pypirc',
          '**/.vault-token',
        ],
        access: ['read', 'change', 'execute'],
      },
    },
    message: 'this file holds credentials',
  }),
  defineRule({
    id: 'shell/reverse-shells',
    description: 'A shell for somebody on the network.',
    effect: 'deny',
    match: { hazards: 'reverse-shell' },
    message: 'this gives a shell to the network',
  }),
  defineRule({
    id: 'shell/download-and-run',
    description: 'Running what comes from the network.',
    effect: 'deny',
    match: { hazards: 'download-and-run' },
    message: 'what comes from the network is not run unseen',
    hint: 'download it, look at it, then run it',
  }),
  defineRule({
    id: 'shell/firewall',
    description: 'Opening or switching off packet filters, listening, tunnels.',
    effect: 'hold',
    match: { hazards: 'firewall' },
    message: 'a change of what the network can reach needs an approval',
  }),
  defineRule({
    id: 'shell/log-tampering',
    description: 'Clearing or switching off histories, logs and auditing.',
    effect: 'deny',
    match: { hazards: 'log-tampering' },
    message: 'histories and logs are kept as they are',
  }),
  defineRule({
    id: 'shell/log-files',
    description: 'The same by file transfer.',
    effect: 'deny',
    match: {
      kinds: 'sftp',
      files: {
        files: ['/var/log/**', '**/.bash_history', '**/.zsh_history', '**/.history', '**/.sh_history'],
        access: 'change',
      },
    },
    message: 'histories and logs are kept as they are',
  }),
  defineRule({
    id: 'shell/service-stop',
    description: 'Stopping, disabling or killing services.',
    effect: 'hold',
    match: { hazards: 'service-stop' },
    message: 'stopping a service needs an approval',
  }),
  defineRule({
    id: 'shell/shutdown',
    effect: 'hold',
    match: { hazards: 'shutdown' },
    message: 'shutting down or restarting a machine needs an approval',
  }),
  defineRule({
    id: 'shell/fork-bombs',
    effect: 'deny',
    match: { hazards: 'fork-bomb' },
    message: 'this would use up the machine',
  }),
  defineRule({
    id: 'shell/privilege-change',
    description: 'Users, groups, sudoers, setuid bits, capabilities.',
    effect: 'hold',
    match: { hazards: 'privilege-change' },
    message: 'a change of who may do what needs an approval',
  }),
  defineRule({
    id: 'shell/privileged',
    description: 'Running something as somebody else: sudo, su, doas.',
    effect: 'hold',
    match: { isPrivileged: true },
    message: 'running this as somebody else needs an approval',
  }),
  defineRule({
    id: 'shell/persistence',
    description: 'What makes something run later: cron, units, profiles, authorized keys.',
    effect: 'hold',
    match: { hazards: 'persistence' },
    message: 'arranging for something to run later needs an approval',
  }),
  defineRule({
    id: 'shell/redefinitions',
    description:
      'What changes the meaning of later lines in a guarded terminal: aliases, functions, traps, shell options.',
    effect: 'deny',
    match: { hazards: 'redefinition' },
    message: 'later lines of this shell would not mean what they say',
  }),
  defineRule({
    id: 'shell/persistence-files',
    description: 'The same, and system programs and libraries, by file transfer.',
    effect: 'hold',
    match: {
      kinds: 'sftp',
      files: {
        files: [
          '/etc/**',
          '/usr/**',
          '/bin/**',
          '/sbin/**',
          '/lib/**',
          '/lib32/**',
          '/lib64/**',
          '/boot/**',
          '/root/.*',
          '/var/spool/**',
          '**/.ssh/authorized_keys*',
          '**/.ssh/config',
          '**/.ssh/environment',
          '**/.ssh/rc',
          '**/.bash_login',
          '**/.bash_logout',
          '**/.bash_profile',
          '**/.bashrc',
          '**/.profile',
          '**/.zprofile',
          '**/.zshenv',
          '**/.zshrc',
          '**/.config/systemd/user/**',
          '**/.config/autostart/**',
          '**/.gitconfig',
          '**/.git/hooks/*',
        ],
        access: 'change',
      },
    },
    message: 'a change to what runs by itself needs an approval',
  }),
]

/**
 * What SSH can carry besides commands and files, refused: forwarded ports, agents and displays, tunnels, subsystems that are
 * not decoded, variables that change what runs. It allows the requests of an ordinary terminal, and no command.
 */
const sshBaseline: readonly Rule[] = [
  defineRule({
    id: 'ssh/port-forwarding',
    description: 'Ports and sockets, in both directions; jumps through this host too.',
    effect: 'deny',
    match: { kinds: 'port-forward' },
    message: 'ports are not forwarded through here',
  }),
  defineRule({
    id: 'ssh/agent-forwarding',
    description: 'A forwarded agent lends its keys to the target.',
    effect: 'deny',
    match: { requests: ['auth-agent*', 'agent-connect*'] },
    message: 'agents are not forwarded through here',
  }),
  defineRule({
    id: 'ssh/x11-forwarding',
    effect: 'deny',
    match: { requests: 'x11*' },
    message: 'displays are not forwarded through here',
  }),
  defineRule({
    id: 'ssh/tunnels',
    description: 'Network interfaces of their own.',
    effect: 'deny',
    match: { requests: 'tun@*' },
    message: 'tunnels are not opened through here',
  }),
  defineRule({
    id: 'ssh/other-variables',
    description: 'LD_PRELOAD, BASH_ENV, GIT_SSH_COMMAND and the like change what runs.',
    effect: 'deny',
    match: { requests: 'env', not: { names: HARMLESS_VARIABLES } },
    message: 'this variable is not passed on',
  }),
  defineRule({
    id: 'ssh/other-subsystems',
    description: 'SFTP is decoded; what others do is not seen.',
    effect: 'deny',
    match: { requests: 'subsystem', not: { names: 'sftp' } },
    message: 'this subsystem is not offered here',
  }),
  defineRule({
    id: 'ssh/variables',
    effect: 'allow',
    match: { requests: 'env', names: HARMLESS_VARIABLES },
  }),
  defineRule({
    id: 'ssh/terminal-requests',
    description: 'A terminal, its size, and signals for what runs in it. What may run is for other rules to say.',
    effect: 'allow',
    match: { kinds: 'ssh-request', requests: ['pty-req', 'window-change', 'signal'] },
  }),
]

/** Sets of rules to start from. Take one out with `filter` where it is not for you: a denial cannot be overruled. */
export const packs: {
  readonly postgresBaseline: readonly Rule[]
  readonly shellBaseline: readonly Rule[]
  readonly sshBaseline: readonly Rule[]
} = Object.freeze({
  postgresBaseline: Object.freeze(postgresBaseline),
  shellBaseline: Object.freeze(shellBaseline),
  sshBaseline: Object.freeze(sshBaseline),
})
