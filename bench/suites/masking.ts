import { ByteWriter, type CellMask, Secret } from '../../src/core/index.js'
import { createMasking, DETECTOR_NAMES } from '../../src/masking/index.js'
import { atLeast, type Line, type Table } from '../report.js'

const CELL_BYTES = 100
const CELLS = 40_000

const PATTERNS = [
  String.raw`[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}`,
  String.raw`\b(?:\d[ -]?){13,19}\b`,
  String.raw`\b\d{3}-\d{2}-\d{4}\b`,
  String.raw`\+\d[\d ().-]{7,20}\d`,
  String.raw`\(?\b[2-9]\d{2}\)?[ .-]\d{3}[ .-]\d{4}\b`,
  String.raw`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}\b`,
  String.raw`\beyJ[\w-]{9,}\.[\w-]{10,}\.[\w-]*`,
  String.raw`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`,
  String.raw`(?i:secret_?access_?key)["' :=]+[A-Za-z0-9/+]{40}`,
  String.raw`\bAIza[\w-]{35}`,
  String.raw`\b[A-Za-z0-9/+]{86}==`,
  String.raw`\bgh[pousr]_[A-Za-z0-9]{36}`,
  String.raw`\bgithub_pat_\w{22,}`,
  String.raw`\bglpat-[\w-]{20,}`,
  String.raw`\bxox[abprs]-[\w-]{10,}`,
  String.raw`\b[sr]k_(?:live|test)_\w{16,}`,
  String.raw`\bnpm_[A-Za-z0-9]{36}`,
  String.raw`-----BEGIN [A-Z ]*PRIVATE KEY-----`,
]

const WORDS =
  'the quick brown fox jumps over lazy dog order shipped to warehouse status pending Invoice total of items in stock customer asked about delivery'.split(
    ' ',
  )
const VALUES = [
  'ada@example.com',
  '4111 1111 1111 1111',
  '123-45-6789',
  '+14155552671',
  'DE89370400440532013000',
  'AKIAIOSFODNN7EXAMPLE',
]

let seed = 42
function random(below: number): number {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
  return (seed >>> 8) % below
}

function cell(hasValue: boolean): string {
  const parts: string[] = []
  if (hasValue) parts.push(VALUES[random(VALUES.length)] as string)
  while (parts.join(' ').length < CELL_BYTES) {
    parts.push(random(8) === 0 ? String(random(100_000)) : (WORDS[random(WORDS.length)] as string))
  }
  if (hasValue) parts.reverse()
  return hasValue ? parts.join(' ').slice(-CELL_BYTES) : parts.join(' ').slice(0, CELL_BYTES)
}

function measure(bytes: number, roundMs: number, run: () => void): number {
  run()
  run()
  let best = 0
  const started = performance.now()
  while (performance.now() - started < roundMs) {
    const before = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(before)
    best = Math.max(best, bytes / (user + system))
  }
  return best
}

/** MB per second of CPU time, detecting and replacing, beside loops of regular expressions that only look. */
export async function measureMasking(isQuick: boolean): Promise<Table> {
  const roundMs = isQuick ? 100 : 600
  const jsPatterns = PATTERNS.map((pattern) => new RegExp(pattern.replace('(?i:', '(?:'), 'g'))
  const re2 = await import('re2').then(
    (module) => module.default,
    () => undefined,
  )
  const re2Patterns = re2 === undefined ? [] : PATTERNS.map((pattern) => new re2(pattern, 'g'))
  const mask = planDetection()
  const cases: readonly (readonly [string, number, number])[] = [
    ['100-byte cells, 0.1 % with a value', CELLS, 0.001],
    ['100-byte cells, 5 % with a value', CELLS, 0.05],
    ['100-byte cells, every one with a value', CELLS, 1],
    ['1 MB text, 1 % of its lines with a value', 10_486, 0.01],
  ]
  const lines = cases.map(([name, count, share]): Line => {
    const cells = Array.from({ length: count }, (_, i) => cell(share === 1 || i % Math.round(1 / share) === 0))
    const isText = name.includes('text')
    const bytes = Buffer.from(cells.join(isText ? '\n' : ''))
    const target = new ByteWriter(1 << 20)
    const own = measure(bytes.length, roundMs, () => {
      target.clear()
      if (isText) mask.apply(bytes, 0, bytes.length, target)
      else
        for (let at = 0; at < bytes.length; at += CELL_BYTES) {
          if (target.length > 1 << 18) target.clear()
          mask.apply(bytes, at, at + CELL_BYTES, target)
        }
    })
    const texts = isText ? [bytes.toString('latin1')] : cells
    const js = measure(bytes.length, roundMs, () => {
      for (const text of texts) for (const pattern of jsPatterns) text.replace(pattern, '[redacted]')
    })
    const buffers = texts.map((text) => Buffer.from(text))
    const native =
      re2Patterns.length === 0
        ? 'not installed'
        : measure(bytes.length, roundMs, () => {
            for (const buffer of buffers) for (const pattern of re2Patterns) pattern.test(buffer)
          })
    return {
      name,
      cells: { sallyport: own, 'JS regexes': js, re2: native },
      ...(share === 1 ? { checks: [atLeast('MB per CPU second', own, 300)] } : {}),
    }
  })
  return {
    title: 'Detectors, MB per CPU second',
    notes: [
      'All detectors, finding and replacing. The others are a loop of regular expressions over the same bytes, without checksums; re2 only finds.',
    ],
    lines,
  }
}

function planDetection(): CellMask {
  const masking = createMasking({ key: new Secret(Buffer.alloc(32, 7)) })
  const detectors = DETECTOR_NAMES.map((detector) => ({ detector, strategy: { kind: 'redact' } as const }))
  const masker = masking.compile({ columns: [], detectors }, 'postgres')
  const mask = masker.planRows([{ name: 'note', type: 25, format: 'text', sources: [] }])?.[0]
  if (mask === undefined) throw new Error('no mask was planned')
  return mask
}
