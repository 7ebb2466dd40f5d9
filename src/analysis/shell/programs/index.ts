import type { ProgramSpec } from '../program.js'
import { CODE } from './code.js'
import { CONTAINERS } from './containers.js'
import { FILES } from './files.js'
import { NETWORK } from './network.js'
import { RUNNING } from './running.js'
import { SHELLS } from './shells.js'
import { SYSTEM } from './system.js'
import { TEXT } from './text.js'
import { WRAPPERS } from './wrappers.js'

/** Everything that is known about programs, by name. */
export const PROGRAMS: ReadonlyMap<string, ProgramSpec> = new Map(
  [CODE, CONTAINERS, NETWORK, SYSTEM, TEXT, FILES, RUNNING, WRAPPERS, SHELLS].flatMap((table) => Object.entries(table)),
)
