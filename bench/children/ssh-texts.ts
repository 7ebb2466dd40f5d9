export const MEBIBYTE = 1_048_576

/** `log`: lines of which 1 % have a value to mask. `coloured`: the same as a terminal program shows them. */
export const TEXT_KINDS = ['log', 'coloured'] as const
export type TextKind = (typeof TEXT_KINDS)[number]

export function isTextKind(text: string): text is TextKind {
  return TEXT_KINDS.some((kind) => kind === text)
}

const made = new Map<TextKind, Buffer>()

/** Half a MiB of text of a kind, always the same. */
export function benchText(kind: TextKind): Buffer {
  let text = made.get(kind)
  if (text === undefined) {
    text = makeText(kind)
    made.set(kind, text)
  }
  return text
}

function makeText(kind: TextKind): Buffer {
  const text = Buffer.alloc(MEBIBYTE / 2, '.')
  let at = 0
  for (let index = 0; ; index++) {
    const time = new Date(Date.UTC(2026, 0, 1) + index * 1_337).toISOString()
    const level = ['INFO', 'WARN', 'DEBUG'][index % 3] ?? 'INFO'
    const who = index % 100 === 0 ? `ada.lovelace.${index}@example.com` : `worker-${index % 37}`
    const [on, off, dim] = kind === 'coloured' ? [`\x1b[3${1 + (index % 6)}m`, '\x1b[0m', '\x1b[2m'] : ['', '', '']
    const line = `${dim}${time}${off} ${on}${level}${off} handled request ${index % 9_973} for ${who} in ${on}${index % 250} ms${off}, queue length ${index % 17}\n`
    if (at + line.length > text.length) break
    at += text.write(line, at, 'latin1')
  }
  text.fill('\n', at)
  return text
}
