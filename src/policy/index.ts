export type {
  ColumnAccessWord,
  ColumnsMatch,
  FileAccessWord,
  FilesMatch,
  Match,
  OneOrMany,
  ProgramsMatch,
  TableAccessWord,
  TablesMatch,
  TextMatch,
  TimeWindow,
  Weekday,
} from './match.js'
export type {
  ColumnMask,
  DetectorMask,
  FileRule,
  MaskStrategyInput,
  PolicyDefaults,
  PolicyMode,
  Rule,
  RuleMasks,
} from './rule.js'
export { createPolicy, defineRule, type PolicyOptions } from './create-policy.js'
export {
  checkPolicy,
  formatProblem,
  loadPolicy,
  type LoadPolicyOptions,
  type PolicyProblem,
} from './load-policy.js'
export { policyJsonSchema } from './json-schema.js'
export { packs } from './packs.js'
export { loadRe2, re2jsEngine, type CompiledRegex, type RegexEngine, type RegexFlags } from './regex-engine.js'
