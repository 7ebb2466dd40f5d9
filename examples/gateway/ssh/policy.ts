import type { Policy } from '../../../src/core/index.js'
import { createPolicy, defineRule, packs } from '../../../src/policy/index.js'

/** Programs that only look, as long as nothing is written with them. */
const LOOKING = [
  'cat',
  'cut',
  'date',
  'df',
  'du',
  'echo',
  'grep',
  'head',
  'hostname',
  'id',
  'ls',
  'printf',
  'pwd',
  'sort',
  'stat',
  'tail',
  'true',
  'uname',
  'uniq',
  'uptime',
  'wc',
  'whoami',
]
/** The demo's host has all its files below a folder of this name. */
const HOME = ['**/demo-host', '**/demo-host/**']

/**
 * The demo's policy for SSH: the two baselines, which allow next to nothing and refuse what is dangerous, and what alice may do.
 * See docs/policy.md and docs/ssh.md.
 */
export function sshDemoPolicy(): Policy {
  return createPolicy({
    defaults: {
      recordLevel: 'full',
      hold: { approverGroups: ['data-owners'], timeoutMs: 300_000 },
      message: 'no rule of the demo allows this',
      hint: 'see examples/gateway/ssh/policy.ts',
    },
    rules: [
      ...packs.shellBaseline,
      ...packs.sshBaseline,
      defineRule({
        id: 'demo/look-around',
        effect: 'allow',
        match: {
          groups: 'developers',
          programs: LOOKING,
          not: { files: { files: '**', access: 'change' } },
        },
      }),
      defineRule({
        id: 'demo/move-in-a-shell',
        description: 'A guarded shell keeps its directory: where later lines read from is not known.',
        effect: 'allow',
        match: { groups: 'developers', kinds: 'shell', text: '(cd( [\\w./-]+)?|exit|logout|clear|)' },
      }),
      defineRule({
        id: 'demo/changes-wait',
        effect: 'hold',
        match: { groups: 'developers', programs: ['cp', 'mkdir', 'mv', 'rm', 'rmdir', 'touch'] },
        message: 'a change on this host needs an approval',
      }),
      defineRule({
        id: 'demo/guarded-shells',
        description: 'Every line is judged by the rules above before the host gets it.',
        effect: 'allow',
        match: { groups: 'developers', kinds: 'terminal', hasTerminal: true },
        terminal: 'guarded',
      }),
      defineRule({
        id: 'demo/files',
        effect: 'allow',
        match: { groups: 'developers', kinds: 'ssh-request', requests: 'subsystem', names: 'sftp' },
      }),
      defineRule({
        id: 'demo/old-scp',
        description: 'Lets the far end of `scp -O` run; every file is then judged like one of SFTP.',
        effect: 'allow',
        match: {
          groups: 'developers',
          kinds: 'shell',
          text: 'scp (-[vqrpd]+ )*-[tf] (-- )?[\\w./-]+',
          hasTerminal: false,
        },
      }),
      defineRule({
        id: 'demo/read-files',
        effect: 'allow',
        match: { groups: 'developers', kinds: 'sftp', files: { files: HOME, access: ['read', 'list'] } },
      }),
      defineRule({
        id: 'demo/bring-files',
        effect: 'allow',
        match: {
          groups: 'developers',
          kinds: 'sftp',
          files: { files: ['**/demo-host/incoming/**'], access: ['read', 'write', 'list', 'metadata'] },
        },
      }),
      defineRule({
        id: 'demo/mask-output',
        description: 'Of commands and shells. Files that are fetched are not masked: that would break them.',
        match: { kinds: ['shell', 'terminal'] },
        mask: { detectors: ['email', 'card', 'us-ssn', 'phone', 'iban', 'jwt', 'private-key'] },
      }),
    ],
  })
}
