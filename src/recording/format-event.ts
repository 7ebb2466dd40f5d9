import { describeDetail, describeStreamEvent } from './format-stream-event.js'
import { isMembers, part, payloadLines, show, textLines, words, type Members } from './format-parts.js'
import type { ReplayEntry } from './replay.js'

export interface FormatOptions {
  /** Leaves recorded output away. Default false. */
  readonly omitOutput?: boolean
}

/**
 * An entry as lines for a person. Safe on a terminal: nothing recorded can move the cursor, hide, reorder, or pass for a line
 * of ours, since every recorded text stands behind `| ` or inside one line with its controls shown.
 */
export function formatEntry(entry: ReplayEntry, options: FormatOptions = {}): readonly string[] {
  const { event } = entry
  const mark = entry.isVerified ? ' ' : '!'
  if (event === undefined) return [`${mark} ${entry.line} not a readable line of ${entry.raw.length} bytes`]
  if (options.omitOutput === true && (event['type'] === 'output' || event['type'] === 'content')) return []
  const [headline, ...block] = describe(event)
  return [`${mark} ${entry.line} ${timeOf(event['at'])} ${headline ?? ''}`, ...block.map((line) => `    ${line}`)]
}

/** A headline, then the lines of the text that belongs to it. */
function describe(event: Members): string[] {
  switch (event['type']) {
    case 'header':
      return describeHeader(event)
    case 'command':
      return describeCommand(event)
    case 'answer':
      return [`answer to ${show(event['commandId'])}: ${outcomeOf(event)}`]
    case 'output':
      return describeOutput(event)
    case 'resize':
    case 'input':
    case 'detected':
    case 'transfer':
    case 'content':
      return describeStreamEvent(event)
    case 'hold':
      return [
        words('hold', event['holdId'], `of command ${show(event['commandId'])}`, ruleOf(event)),
        ...textLines(event['text']),
      ]
    case 'approval':
      return [
        words('hold', event['holdId'], event['outcome'], part('by', event['approver'])),
        ...textLines(event['comment']),
      ]
    case 'alert':
      return [words('ALERT', ruleOf(event)), ...textLines(event['text'])]
    case 'note':
      return ['note', ...textLines(event['text']), ...(isMembers(event['details']) ? [show(event['details'])] : [])]
    case 'continued':
      return [`continued in segment ${show(event['next'])}`]
    case 'end':
      return [words('end:', event['reason'], show(event['totals']))]
    case 'seal':
      return [`sealed after a crash, ${show(event['tornBytes'])} bytes of an incomplete line`]
    default:
      return [words('unknown line', event['type'])]
  }
}

function describeHeader(event: Members): string[] {
  const subject = isMembers(event['subject']) ? event['subject'] : {}
  const resource = isMembers(event['resource']) ? event['resource'] : {}
  return [
    words(
      'session',
      event['sessionId'],
      event['segment'] === 1 ? undefined : `segment ${show(event['segment'])}`,
      part('by', subject['id']),
      part('for', subject['onBehalfOf']),
      part('on', resource['name']),
      part('from', event['clientAddress']),
    ),
  ]
}

function describeCommand(event: Members): string[] {
  const verdict = event['permitted'] === true ? 'permitted' : `REFUSED (${show(event['refusal'] ?? event['reason'])})`
  const would = event['wouldBe'] === undefined ? undefined : `would ${show(event['wouldBe'])}`
  const held = event['holdId'] === undefined ? undefined : `held as ${show(event['holdId'])}`
  const lines = [
    words(`command ${show(event['id'])}`, kindOf(event), event['via'], verdict, ruleOf(event), would, held),
    ...textLines(event['text']),
  ]
  const { parameters, answer } = event
  lines.push(...describeDetail(event))
  if (Array.isArray(parameters)) {
    for (const [index, value] of parameters.entries()) lines.push(`$${index + 1} = ${show(value)}`)
  }
  if (isMembers(answer)) lines.push(`-> ${outcomeOf(answer)}`)
  return lines
}

function describeOutput(event: Members): string[] {
  return payloadLines(event, `output of ${show(event['commandId'])} on ${show(event['channel'])}`)
}

/** Statements are what most recordings are of: other kinds are named. */
function kindOf(event: Members): unknown {
  return event['kind'] === 'sql' ? undefined : event['kind']
}

function outcomeOf(answer: Members): string {
  const tags = Array.isArray(answer['tags']) ? answer['tags'].map((tag) => show(tag)).join(', ') : ''
  const error = answer['errorCode'] === undefined ? undefined : `error ${show(answer['errorCode'])}`
  const { exitCode, signal } = answer
  const ending = words(part('exit code', exitCode), part('by signal', signal))
  const size = ending === '' ? `${show(answer['rows'])} rows` : `${show(answer['bytes'])} bytes`
  return words(answer['outcome'], ending, tags, size, error, answer['errorMessage'])
}

function ruleOf(event: Members): string | undefined {
  return event['ruleId'] === undefined ? undefined : `by rule ${show(event['ruleId'])}`
}

function timeOf(at: unknown): string {
  const time = typeof at === 'number' ? new Date(at) : undefined
  return time === undefined || Number.isNaN(time.getTime()) ? 'at an unknown time' : time.toISOString()
}
