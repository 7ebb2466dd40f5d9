import { isMembers, part, payloadLines, show, textLines, words, type Members } from './format-parts.js'

/** A headline for what happened in a command's streams, then the lines of the text that belongs to it. */
export function describeStreamEvent(event: Members): string[] {
  const id = show(event['commandId'])
  switch (event['type']) {
    case 'resize':
      return [`terminal of ${id} is ${show(event['columns'])} x ${show(event['rows'])}`]
    case 'input':
      return event['isHidden'] === true
        ? [`input of ${id} while nothing was echoed: not recorded`]
        : payloadLines(event, `input of ${id}`)
    case 'detected':
      return [`seen in the terminal of ${id}`, ...textLines(event['text'])]
    case 'transfer': {
      const { direction, bytes, sha256 } = event
      return [
        words(`file of ${id} ${show(direction)},`, `${show(bytes)} bytes`, runsOf(event), part('sha256', sha256)),
        ...textLines(event['path']),
      ]
    }
    default:
      return payloadLines(event, `content of ${id} ${show(event['direction'])} at ${show(event['offset'])}`)
  }
}

/** Said where not all of it passed once, front to back. */
function runsOf({ runs, omittedRuns }: Members): string | undefined {
  if (!Array.isArray(runs) || runs.length === 0) return undefined
  const only: unknown = runs.length === 1 ? runs[0] : undefined
  if (isMembers(only)) return only['offset'] === 0 ? undefined : part('from', only['offset'])
  const count = runs.length + (typeof omittedRuns === 'number' ? omittedRuns : 0)
  return `in ${count} pieces`
}

/** What a command of another kind than `sql` is besides its text. */
export function describeDetail(event: Members): string[] {
  const lines = [
    words(
      part('channel', event['channelId']),
      event['hasTerminal'] === true ? 'with a terminal' : undefined,
      list('environment', event['environment']),
    ),
    event['kind'] === 'sql' ? '' : describeFacts(event['facts']),
    list('files', filesOf(event['files'])),
  ]
  return lines.filter((line) => line !== '')
}

function describeFacts(facts: unknown): string {
  if (!isMembers(facts)) return ''
  return words(
    facts['certainty'],
    facts['problem'],
    list('runs', facts['programs']),
    list('hazards', facts['hazards']),
    list('files', filesOf(facts['files'])),
    facts['isPrivileged'] === true ? 'as somebody else' : undefined,
  )
}

function filesOf(files: unknown): string[] {
  if (!Array.isArray(files)) return []
  return files.filter(isMembers).map((file) => {
    const modes = Array.isArray(file['modes']) ? file['modes'].map(show).join('+') : ''
    return `${modes} ${show(file['path'])}${file['isRecursive'] === true ? ' and below' : ''}`
  })
}

function list(word: string, items: unknown): string {
  return Array.isArray(items) && items.length > 0 ? `${word} ${items.map(show).join(', ')}` : ''
}
