import { defineRule } from './create-policy.js'
import type { Rule } from './rule.js'

/**
 * What hardly any client of a PostgreSQL server should do unasked. It allows nothing: add the rules that
 * say what your subjects may do. The same rules stand as a policy file in `docs/policy.md`.
 */
const postgresBaseline: readonly Rule[] = [
  defineRule({
    id: 'baseline/server-files',
    description: 'COPY from and to server files and programs, pg_read_file, lo_import and the like.',
    effect: 'deny',
    match: { dialects: 'postgres', touchesFiles: true },
    message: "the server's files and programs are out of reach here",
    hint: 'use COPY ... FROM STDIN or TO STDOUT',
  }),
  defineRule({
    id: 'baseline/hazardous-functions',
    description: 'Functions known to reach files, programs, other hosts or the server itself.',
    effect: 'deny',
    match: { dialects: 'postgres', functionHazards: ['file', 'program', 'network', 'admin'] },
    message: 'this function reaches beyond the database',
  }),
  defineRule({
    id: 'baseline/dynamic-sql',
    description: 'SQL that is not in the text cannot be judged: DO, query_to_xml, EXECUTE in a function body.',
    effect: 'deny',
    match: { dialects: 'postgres', isDynamic: true },
    message: 'SQL inside of SQL cannot be judged',
    hint: 'send the inner statement itself',
  }),
  defineRule({
    id: 'baseline/privileges',
    description: 'Roles, grants, server settings. Functions of unknown body are left to the rules that allow them.',
    effect: 'deny',
    match: { dialects: 'postgres', classes: ['dcl', 'admin'], not: { classes: ['unknown', 'write', 'ddl'] } },
    message: 'roles, grants and the server itself are not changed through here',
  }),
  defineRule({
    id: 'baseline/credential-catalogs',
    description: 'Password hashes, foreign credentials, and statistics that contain values of every column.',
    effect: 'deny',
    match: {
      dialects: 'postgres',
      tables: [
        'pg_authid',
        'pg_shadow',
        'pg_user_mapping',
        'pg_user_mappings',
        'pg_largeobject',
        'pg_statistic',
        'pg_stats',
        'pg_statistic_ext_data',
        'pg_stats_ext*',
        'pg_hba_file_rules',
        'pg_file_settings',
        'pg_toast_*',
      ],
    },
    message: 'this catalogue holds secrets or samples of data',
  }),
  defineRule({
    id: 'baseline/schema-changes',
    description: 'DDL waits for a person.',
    effect: 'hold',
    match: { dialects: 'postgres', classes: 'ddl', not: { classes: ['unknown', 'write'] } },
    message: 'a change of schema needs an approval',
  }),
  defineRule({
    id: 'baseline/whole-table-writes',
    description: 'UPDATE and DELETE without WHERE wait for a person.',
    effect: 'hold',
    match: { dialects: 'postgres', missingWhere: true },
    message: 'a write to every row needs an approval',
    hint: 'add a WHERE clause',
  }),
  defineRule({
    id: 'baseline/truncate',
    effect: 'hold',
    match: { dialects: 'postgres', verbs: 'truncate' },
    message: 'emptying a table needs an approval',
  }),
]

/** Sets of rules to start from. */
export const packs: { readonly postgresBaseline: readonly Rule[] } = Object.freeze({
  postgresBaseline: Object.freeze(postgresBaseline),
})
