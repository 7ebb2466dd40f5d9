import type { Call, Report } from '../program.js'
import { isKnownShape, knownWord, type WordValue } from '../word-value.js'

/** Words as one text, with blanks between, as `eval` and `ssh` make it. */
export function joinWords(words: readonly WordValue[]): WordValue {
  if (words.length === 1 && words[0] !== undefined) return words[0]
  const shape = words.map((word) => word.shape).join(' ')
  return {
    text: words.map((word) => word.text).join(' '),
    shape,
    // A tilde is not a tilde any more, but the home directory's path.
    isKnown: isKnownShape(shape),
    mayVary: words.some((word) => word.mayVary),
    hasTilde: false,
    fetches: words.some((word) => word.fetches),
    isOutput: words.some((word) => word.isOutput),
  }
}

/** A command as words in one text, split at blanks. Undefined where it has more than plain words. */
export function splitWords(word: WordValue): readonly WordValue[] | undefined {
  if (!word.isKnown || /["'\\$#`]/.test(word.text)) return undefined
  return word.text
    .split(/\s+/)
    .filter((part) => part !== '')
    .map(knownWord)
}

/** `NAME=value` words at the beginning, as `env` and `sudo` take them: whatever the name looks like. Gives the rest. */
export function takeAssignments(words: readonly WordValue[], report: Report): readonly WordValue[] {
  let index = 0
  for (const word of words) {
    const match = /^([^=]*)=/.exec(word.text)
    if (match === null) break
    const from = match[0].length
    report.assign(match[1] ?? '', { ...word, text: word.text.slice(from), shape: word.shape.slice(from) })
    index++
  }
  return words.slice(index)
}

export function portOf(word: WordValue | undefined): number | undefined {
  const port = word?.isKnown === true && /^\d{1,5}$/.test(word.text) ? Number(word.text) : undefined
  return port !== undefined && port > 0 && port < 65_536 ? port : undefined
}

/** Says that the program talks to `host`, which may be `user@host`, `[::1]` or `host:port`. */
export function connects(report: Report, word: WordValue | undefined, port?: number): void {
  const bare = word?.isKnown === true ? word.text.replace(/^[^@]*@/, '') : undefined
  const match = bare === undefined ? undefined : /^\[?([^\]]*?)\]?(?::(\d+))?$/.exec(bare)
  const found = port ?? (match?.[2] === undefined ? undefined : Number(match[2]))
  report.network({ host: match?.[1] || bare, ...(found === undefined ? {} : { port: found }), direction: 'connect' })
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  http: 80,
  https: 443,
  ftp: 21,
  ftps: 990,
  ssh: 22,
  git: 9418,
  sftp: 22,
}

/** The same, for an address such as `https://user@host:8443/path`. */
export function connectsTo(report: Report, word: WordValue): void {
  const match = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:[^@/?#]*@)?(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?(?=[/?#]|$)/i.exec(
    word.text,
  )
  const host = match?.[2]?.replace(/^\[|\]$/g, '')
  const isHostKnown = word.isKnown || word.shape.startsWith(match?.[0] ?? '?')
  const port = match?.[3] === undefined ? DEFAULT_PORTS[match?.[1]?.toLowerCase() ?? 'http'] : Number(match[3])
  report.network({
    host: isHostKnown && host !== '' ? host : undefined,
    ...(port === undefined || !isHostKnown ? {} : { port }),
    direction: 'connect',
  })
}

/** `host:path`, as scp and rsync write it. */
export function remotePath(word: WordValue): WordValue | undefined {
  const match = /^(?:rsync:\/\/|[^/:]+:)/.exec(word.text)
  if (match === null) return undefined
  return { ...word, text: word.text.replace(/:.*$/s, '').replace(/^rsync:\/\/([^/]*).*/s, '$1') }
}

/** Longer code is not looked into: searching it would take more than its length. */
export const MAX_CODE_LENGTH = 8192

/** Code that some interpreter is given as text: what it does is not in the words. */
export function codeHazards(word: WordValue, report: Report): void {
  report.hazard('unseen-code')
  report.conservative()
  const code = word.text
  if (word.fetches) report.hazard('download-and-run')
  if (code.length > MAX_CODE_LENGTH) return
  const connects =
    /socket|TCPSocket|fsockopen|IO::Socket|net\.connect|\/inet\/tcp|pfsockopen|createConnection|\/dev\/tcp/i.test(code)
  const shells =
    /\/bin\/(?:ba|da|z|k)?sh|\bsubprocess\b|os\.(?:dup2|system|popen|exec)|pty\.spawn|\bexec\b|\bspawn|child_process|\bpopen\b|cmd\.exe|system\s*\(/i.test(
      code,
    )
  if (connects && shells) report.hazard('reverse-shell')
  if (
    /(?:urlopen|urlretrieve|requests\.get|http\.get|LWP|file_get_contents\s*\(\s*['"]https?|Net::HTTP|open-uri|fetch\()/i.test(
      code,
    )
  ) {
    if (/\b(?:exec|eval|system|popen|subprocess)\b/.test(code)) report.hazard('download-and-run')
  }
  if (/shutil\.rmtree|rm\s+-[a-z]*r|FileUtils\.rm_rf?|rmSync|rmdir_r|remove_tree|unlink/.test(code))
    report.hazard('destructive-delete')
  if (/\/etc\/(?:shadow|sudoers)|id_rsa|id_ed25519|\.ssh\/|\.aws\/credentials|\.kube\/config/.test(code))
    report.hazard('credential-file')
  if (/set[re]?[ug]id\s*\(|setresuid/.test(code)) report.hazard('privilege-change')
  if (/\bfork\b/.test(code) && /while|loop/.test(code)) report.hazard('fork-bomb')
}

/** A program that reads code from a file, from its input, or from the terminal. */
export function runsScript(call: Call, report: Report, script: WordValue | undefined): void {
  report.hazard('unseen-code')
  if (script !== undefined && script.text !== '-' && script.text !== '/dev/stdin') {
    report.file(script, ['read', 'execute'])
    report.executes(script)
    if (!script.isKnown) report.conservative()
    return
  }
  report.conservative()
  if (call.input?.text !== undefined) codeHazards(knownWord(call.input.text), report)
  if (call.input?.fetches === true) report.hazard('download-and-run')
}
