/** Where in a policy something stands. */
export type Path = readonly (string | number)[]

/** What is wrong with a value, and what to write instead. */
export interface Complaint {
  readonly message: string
  readonly hint?: string
}

export interface ShapeProblem extends Complaint {
  readonly path: Path
  /** Whether the key itself or what it holds is wrong. */
  readonly at: 'key' | 'value'
}

export interface Field {
  readonly shape: Shape
  readonly doc: string
  readonly required?: boolean
}

/**
 * What a value has to look like. One description serves the loader and the published JSON Schema, so the
 * two cannot disagree about keys and types.
 */
export type Shape =
  | {
      readonly kind: 'string'
      readonly maxLength: number
      /** JSON Schema pattern that says (part of) what `check` says. */
      readonly pattern?: string
      readonly check?: (value: string) => Complaint | undefined
    }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'enum'; readonly values: readonly (string | number)[] }
  /** A non-empty list; `orOne` also takes a single entry as such. */
  | { readonly kind: 'list'; readonly item: Shape; readonly orOne: boolean; readonly mayBeEmpty?: boolean }
  | { readonly kind: 'record'; readonly value: Shape }
  /** A plain string, or an object that says more. */
  | { readonly kind: 'either'; readonly text: Shape; readonly object: Shape }
  | { readonly kind: 'object'; readonly name: string; readonly fields: () => Readonly<Record<string, Field>> }
  /** Only TypeScript can give one. */
  | { readonly kind: 'function' }

/** Adds to `problems` everything about `value` that is not of this shape. */
export function checkShape(shape: Shape, value: unknown, path: Path, problems: ShapeProblem[]): void {
  const complain = (message: string, hint?: string): void => {
    problems.push({ path, at: 'value', message, ...(hint === undefined ? {} : { hint }) })
  }
  switch (shape.kind) {
    case 'string': {
      if (typeof value !== 'string') return complain(`expected a string, got ${describe(value)}`)
      if (value === '') return complain('expected text, got an empty string')
      if (value.length > shape.maxLength) return complain(`longer than ${shape.maxLength} characters`)
      const complaint = shape.check?.(value)
      return complaint === undefined ? undefined : complain(complaint.message, complaint.hint)
    }
    case 'integer':
      if (typeof value !== 'number' || !Number.isInteger(value)) {
        return complain(`expected a whole number, got ${describe(value)}`)
      }
      if (value < shape.min || value > shape.max) {
        return complain(`expected a number from ${shape.min} to ${shape.max}, got ${value}`)
      }
      return
    case 'boolean':
      return typeof value === 'boolean' ? undefined : complain(`expected true or false, got ${describe(value)}`)
    case 'enum': {
      if (shape.values.some((allowed) => allowed === value)) return
      const near = typeof value === 'string' ? nearest(value, shape.values.map(String)) : undefined
      return complain(
        `expected ${shape.values.map((allowed) => `\`${allowed}\``).join(', ')}, got ${describe(value)}`,
        near === undefined ? undefined : `did you mean \`${near}\`?`,
      )
    }
    case 'list': {
      if (!Array.isArray(value)) {
        if (shape.orOne) return checkShape(shape.item, value, path, problems)
        return complain(`expected a list, got ${describe(value)}`)
      }
      const entries: readonly unknown[] = value
      if (entries.length === 0 && shape.mayBeEmpty !== true) {
        return complain('an empty list never matches', 'leave the key out, or list at least one entry')
      }
      // A loop by index: holes of a sparse array are wrong entries too.
      for (let index = 0; index < entries.length; index++) {
        checkShape(shape.item, entries[index], [...path, index], problems)
      }
      return
    }
    case 'record': {
      if (!isRecord(value)) return complain(`expected a map, got ${describe(value)}`)
      const keys = Object.keys(value)
      if (keys.length === 0) return complain('an empty map never matches', 'leave the key out')
      for (const key of keys) checkShape(shape.value, value[key], [...path, key], problems)
      return
    }
    case 'either':
      if (typeof value === 'string') return checkShape(shape.text, value, path, problems)
      if (isRecord(value)) return checkShape(shape.object, value, path, problems)
      return complain(`expected a string or a map, got ${describe(value)}`)
    case 'object':
      return checkObject(shape, value, path, problems)
    case 'function':
      return typeof value === 'function' ? undefined : complain(`expected a function, got ${describe(value)}`)
    default:
      return shape satisfies never
  }
}

function checkObject(
  shape: Extract<Shape, { kind: 'object' }>,
  value: unknown,
  path: Path,
  problems: ShapeProblem[],
): void {
  if (!isRecord(value)) {
    problems.push({ path, at: 'value', message: `expected a map (${shape.name}), got ${describe(value)}` })
    return
  }
  const fields = shape.fields()
  const names = Object.keys(fields)
  for (const key of Object.keys(value)) {
    if (value[key] === undefined) continue
    const field = Object.hasOwn(fields, key) ? fields[key] : undefined
    if (field !== undefined) {
      checkShape(field.shape, value[key], [...path, key], problems)
      continue
    }
    const near = nearest(key, names)
    problems.push({
      path: [...path, key],
      at: 'key',
      message: `unknown key \`${printable(key)}\` in ${shape.name}`,
      hint: near === undefined ? `known keys: ${names.join(', ')}` : `did you mean \`${near}\`?`,
    })
  }
  for (const name of names) {
    if (fields[name]?.required === true && value[name] === undefined) {
      problems.push({ path, at: 'value', message: `${shape.name} has no \`${name}\``, hint: fields[name].doc })
    }
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The candidate that `word` was most likely meant to be. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const folded = word.toLowerCase()
  let best: string | undefined
  let bestDistance = Math.max(1, Math.floor(Math.min(word.length, 24) / 3)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(folded.slice(0, 64), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const substituted = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1)
      current.push(Math.min(substituted, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    previous = current
  }
  return previous[right.length] ?? 0
}

function describe(value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  if (typeof value === 'string') return `\`${printable(value)}\``
  if (typeof value === 'function') return 'a function'
  return `\`${String(value as number | boolean | bigint | symbol)}\``
}

/** A policy's own text, made safe for one line of a message. */
export function printable(text: string): string {
  const cut = text.length > 60 ? `${text.slice(0, 60)}...` : text
  return JSON.stringify(cut).slice(1, -1)
}
