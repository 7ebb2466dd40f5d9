import { fitsWildcards } from '../core/index.js'

/** A name or a pattern of names: `*` is any run of characters, `?` any one. */
export interface Glob {
  readonly source: string
  /** The name itself, where there is nothing to match. */
  readonly literal?: string
  readonly matchesAll: boolean
  test(name: string): boolean
}

/** Compiles a glob. Matching takes time linear in pattern and name for all but adversarial pairs, never worse than their product. */
export function compileGlob(source: string, options: { readonly isLiteral?: boolean } = {}): Glob {
  if (options.isLiteral === true || !/[*?]/.test(source)) {
    return { source, literal: source, matchesAll: false, test: (name) => name === source }
  }
  if (/^\*+$/.test(source)) return { source, matchesAll: true, test: () => true }
  return { source, matchesAll: false, test: (name) => fitsWildcards(name, source) }
}

/** True when every name that `inner` matches is also matched by `outer`. May say false where it cannot tell. */
export function globCovers(outer: Glob, inner: Glob): boolean {
  if (outer.matchesAll || outer.source === inner.source) return true
  return inner.literal !== undefined && outer.test(inner.literal)
}

/** Whether some name is matched by both globs. Takes time of the product of their lengths. */
export function globsMeet(left: string, right: string): boolean {
  // reached[j]: what is left of `left` from here on, and of `right` from j on, have a name in common.
  let reached = new Uint8Array(right.length + 1)
  for (let i = left.length; i >= 0; i--) {
    const next = reached
    reached = new Uint8Array(right.length + 1)
    const wanted = left[i]
    for (let j = right.length; j >= 0; j--) {
      const given = right[j]
      if (wanted === undefined && given === undefined) reached[j] = 1
      else if (wanted === '*') reached[j] = (next[j] ?? 0) | (given === undefined ? 0 : (reached[j + 1] ?? 0))
      else if (given === '*') reached[j] = (reached[j + 1] ?? 0) | (wanted === undefined ? 0 : (next[j] ?? 0))
      else if (wanted === undefined || given === undefined) reached[j] = 0
      else if (wanted === given || wanted === '?' || given === '?') reached[j] = next[j + 1] ?? 0
    }
  }
  return reached[0] === 1
}
