import { many, type TimeWindow, type Weekday } from './match.js'
import type { Complaint } from './shape.js'

export const WEEKDAYS: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

const MINUTES_A_DAY = 24 * 60

/** Minutes since midnight of `HH:MM`, `24:00` included; undefined when it is no such time. */
export function parseTimeOfDay(text: string): number | undefined {
  const match = /^(\d{2}):(\d{2})$/.exec(text)
  if (match === null) return undefined
  const minutes = Number(match[1]) * 60 + Number(match[2])
  return Number(match[2]) < 60 && minutes <= MINUTES_A_DAY ? minutes : undefined
}

export function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

/** Says why a window (whose parts are each valid) can never be. */
export function complainAboutWindow(window: TimeWindow): Complaint | undefined {
  const from = parseTimeOfDay(window.from ?? '00:00')
  const to = parseTimeOfDay(window.to ?? '24:00')
  if (from === MINUTES_A_DAY) return { message: 'the window is empty: no time of day is after `24:00`' }
  if (from !== undefined && from === to) {
    return {
      message: `the window is empty: it ends when it begins, at \`${window.from ?? '00:00'}\``,
      hint: 'leave both out for the whole day',
    }
  }
  return undefined
}

/** Compiles windows to a test of an instant. */
export function compileTime(windows: readonly TimeWindow[]): (nowUnixMs: number) => boolean {
  const tests = windows.map(compileWindow)
  return (nowUnixMs) => tests.some((test) => test(nowUnixMs))
}

function compileWindow(window: TimeWindow): (nowUnixMs: number) => boolean {
  const from = parseTimeOfDay(window.from ?? '00:00') ?? 0
  const to = parseTimeOfDay(window.to ?? '24:00') ?? 0
  const days = new Set<number>(
    (window.days === undefined ? WEEKDAYS : many(window.days)).map((day) => WEEKDAYS.indexOf(day)),
  )
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: window.timeZone ?? 'UTC',
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  })
  const holds = (nowUnixMs: number): boolean => {
    const parts: Partial<Record<Intl.DateTimeFormatPartTypes, string>> = {}
    for (const part of format.formatToParts(nowUnixMs)) parts[part.type] = part.value
    const minute = Number(parts.hour) * 60 + Number(parts.minute)
    const day = WEEKDAYS.findIndex((weekday) => weekday === parts.weekday?.toLowerCase())
    if (from < to) return days.has(day) && minute >= from && minute < to
    return (days.has(day) && minute >= from) || (days.has((day + 6) % 7) && minute < to)
  }
  // Time zones change by whole minutes, so one answer serves a minute.
  let lastMinute = Number.NaN
  let lastAnswer = false
  return (nowUnixMs) => {
    const minute = Math.floor(nowUnixMs / 60_000)
    if (minute !== lastMinute) {
      lastAnswer = holds(nowUnixMs)
      lastMinute = minute
    }
    return lastAnswer
  }
}
