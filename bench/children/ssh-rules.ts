import { DETECTOR_NAMES } from '../../src/masking/index.js'
import { packs, type Rule } from '../../src/policy/index.js'

/** Who asks decides what is masked or kept, so that one gateway serves every comparison. */
export const SSH_USERS = { open: 'open', masked: 'masked', recorded: 'recorded' } as const

const TEXT_PATTERNS = [
  String.raw`\bbase64\s+(?:-d|--decode)\b`,
  String.raw`\bnc(?:at)?\s+-e\b`,
  String.raw`/dev/tcp/`,
  String.raw`\bchmod\s+0?777\b`,
  String.raw`\bhistory\s+-c\b`,
  String.raw`\bmkfs(?:\.\w+)?\b`,
  String.raw`\bxmrig\b`,
  String.raw`\bLD_PRELOAD=`,
  String.raw`\bcurl\b.*\|\s*(?:ba)?sh\b`,
  String.raw`\biptables\s+-F\b`,
]

/**
 * A policy as a company might grow it: both packs, a few permissions, prohibitions by text, masks, and mostly rules about
 * single programs and folders.
 */
export function sshPolicy(count: number): readonly Rule[] {
  const rules: Rule[] = [
    ...packs.shellBaseline,
    ...packs.sshBaseline,
    { id: 'allow/bench', effect: 'allow', match: { programs: ['true', 'echo', 'cat', 'head', 'bytes', 'sink'] } },
    { id: 'allow/sftp', effect: 'allow', match: { requests: 'subsystem', names: 'sftp' } },
    { id: 'allow/files', effect: 'allow', match: { kinds: 'sftp' } },
    { id: 'mask/texts', match: { subjects: SSH_USERS.masked }, mask: { detectors: [...DETECTOR_NAMES] } },
    { id: 'record/all', match: { subjects: SSH_USERS.recorded }, recordLevel: 'full' },
    ...TEXT_PATTERNS.map((text, index): Rule => ({ id: `deny/text-${index}`, effect: 'deny', match: { text } })),
  ]
  for (let index = 0; rules.length < count; index++) {
    rules.push(
      index % 2 === 0
        ? { id: `program/${index}`, effect: index % 8 === 0 ? 'deny' : 'allow', match: { programs: `tool-${index}` } }
        : {
            id: `folder/${index}`,
            effect: 'deny',
            match: { files: { files: `/srv/app-${index}/**`, access: 'change' } },
          },
    )
  }
  return rules
}
