/** The two ends of a guarded connection: who connects to us, and the target. */
export type Side = 'downstream' | 'upstream'

export function otherSide(side: Side): Side {
  return side === 'downstream' ? 'upstream' : 'downstream'
}
