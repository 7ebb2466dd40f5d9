import { ALNUM, BASE64URL, DIGIT, DOTTED, UPPER } from './bytes.js'

/**
 * A secret that says what it is: a fixed prefix, then at least so many characters of one alphabet. Found with one
 * table look-up per byte, in linear time, in streams as well.
 *
 * @example { name: 'acme', prefixes: ['acme_live_'], minLength: 24 }
 */
export interface Detector {
  /** What policies call it. */
  readonly name: string
  /** ASCII, at least two characters, matched exactly. */
  readonly prefixes: readonly string[]
  /** Characters after the prefix; at most 128. */
  readonly minLength: number
  /** More than this many characters after the prefix is something else. At most 200. Default: no limit. */
  readonly maxLength?: number
  /** Default: `base64url` (letters, digits, `-` and `_`); `dotted` also has `.`. */
  readonly characters?: 'base64url' | 'dotted' | 'alnum' | 'upper-alnum'
}

const ANY_LENGTH = 0

const CLASS_OF = { base64url: BASE64URL, dotted: DOTTED, alnum: ALNUM, 'upper-alnum': DIGIT | UPPER } as const

/** A prefix made ready: where it is anchored, and what follows it. */
export interface CompiledPrefix {
  readonly kind: number
  readonly bytes: Uint8Array
  /** Which of its bytes sets off the comparison. */
  readonly anchor: number
  readonly minLength: number
  /** 0: none. */
  readonly maxLength: number
  readonly characters: number
}

export function compilePrefixes(detector: Detector, kind: number): CompiledPrefix[] {
  return detector.prefixes.map((prefix) => ({
    kind,
    bytes: Buffer.from(prefix, 'latin1'),
    anchor: anchorOf(prefix),
    minLength: detector.minLength,
    maxLength: detector.maxLength ?? ANY_LENGTH,
    characters: CLASS_OF[detector.characters ?? 'base64url'],
  }))
}

/** The rarest byte of a prefix in ordinary text: punctuation before capitals before anything else. */
function anchorOf(prefix: string): number {
  let best = prefix.length - 1
  let bestRank = -1
  for (let i = 0; i < prefix.length; i++) {
    const character = prefix[i] as string
    const rank =
      character === '-'
        ? 3
        : /[^A-Za-z0-9]/.test(character)
          ? 5
          : /[JKQXZI]/.test(character)
            ? 4
            : /[A-Z]/.test(character)
              ? 2
              : 0
    if (rank >= bestRank) {
      bestRank = rank
      best = i
    }
  }
  return best
}

/** Tokens whose issuers gave them a prefix so that they can be found. */
export const TOKEN_DETECTORS: readonly Detector[] = [
  {
    name: 'aws-access-key',
    prefixes: ['AKIA', 'ASIA', 'ABIA', 'ACCA'],
    minLength: 16,
    maxLength: 16,
    characters: 'upper-alnum',
  },
  { name: 'gcp-api-key', prefixes: ['AIza'], minLength: 35, maxLength: 35 },
  { name: 'github', prefixes: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'], minLength: 30 },
  { name: 'github', prefixes: ['github_pat_'], minLength: 22 },
  { name: 'gitlab', prefixes: ['glpat-', 'gldt-', 'glrt-', 'glptt-', 'glcbt-', 'glsoat-'], minLength: 20 },
  {
    name: 'slack',
    prefixes: ['xoxb-', 'xoxp-', 'xoxa-', 'xoxr-', 'xoxs-', 'xoxe-', 'xoxc-', 'xoxd-', 'xapp-'],
    minLength: 10,
  },
  { name: 'stripe', prefixes: ['sk_live_', 'sk_test_', 'rk_live_', 'rk_test_', 'whsec_'], minLength: 16 },
  { name: 'npm', prefixes: ['npm_'], minLength: 36, characters: 'alnum' },
  { name: 'openai', prefixes: ['sk-proj-', 'sk-svcacct-', 'sk-admin-'], minLength: 20 },
  { name: 'anthropic', prefixes: ['sk-ant-'], minLength: 20 },
  { name: 'huggingface', prefixes: ['hf_'], minLength: 30, characters: 'alnum' },
  { name: 'sendgrid', prefixes: ['SG.'], minLength: 20, characters: 'dotted' },
  { name: 'digitalocean', prefixes: ['dop_v1_', 'doo_v1_', 'dor_v1_'], minLength: 40, characters: 'alnum' },
  { name: 'pypi', prefixes: ['pypi-'], minLength: 50 },
  { name: 'shopify', prefixes: ['shpat_', 'shpca_', 'shppa_', 'shpss_'], minLength: 32, characters: 'alnum' },
  { name: 'vault', prefixes: ['hvs.', 'hvb.'], minLength: 24, characters: 'dotted' },
]
