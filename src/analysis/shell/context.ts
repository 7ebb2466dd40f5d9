import type { Input } from './program.js'
import type { Places } from './paths.js'

/** What a group of commands shares: a subshell has a copy. */
export interface Scope {
  places: Places
}

/** What surrounds a command. */
export interface Context {
  readonly scope: Scope
  readonly wrappers: readonly string[]
  readonly isRemote: boolean
  /** It may not run, or not with these words alone. */
  readonly isUncertain: boolean
  /** More words come when it runs. */
  readonly isOpen: boolean
  readonly input: Input | undefined
  /** Texts read as scripts around it. */
  readonly depth: number
}

export function subshell(context: Context): Context {
  return { ...context, scope: { places: context.scope.places } }
}
