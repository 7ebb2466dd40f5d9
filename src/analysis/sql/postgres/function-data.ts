import { type FunctionCall, type FunctionHazard, type SqlClass, worstClass } from '../../../core/index.js'
import {
  BUILTIN_TYPES,
  IMMUTABLE_FUNCTIONS,
  ROW_FUNCTIONS,
  SAFE_OPERATORS,
  STABLE_FUNCTIONS,
  VOLATILE_FUNCTIONS,
} from './functions.generated.js'

/** What calling a function can do, by its name. */
export interface FunctionJudgement {
  readonly volatility: FunctionCall['volatility']
  readonly hazards: readonly FunctionHazard[]
  /** What the call makes of a statement that is otherwise a read. */
  readonly class: SqlClass
  /** Takes a whole row: `t.f` may mean `f(t)`. */
  readonly takesRow: boolean
}

const words = (text: string): string[] => text.trim().split(/\s+/)

/**
 * Volatile, and yet nothing is changed and nothing outside the database's own statistics is seen: reviewed one by one.
 */
const HARMLESS_VOLATILE = new Set(
  words(`
    random random_normal gen_random_uuid uuidv4 uuidv7 clock_timestamp timeofday array_sample array_shuffle bernoulli system
    pg_relation_size pg_table_size pg_total_relation_size pg_indexes_size pg_database_size pg_tablespace_size
    pg_blocking_pids pg_safe_snapshot_blocking_pids pg_is_in_recovery pg_is_wal_replay_paused pg_get_wal_replay_pause_state
    pg_current_wal_lsn pg_current_wal_insert_lsn pg_current_wal_flush_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn
    pg_last_xact_replay_timestamp pg_lock_status pg_partition_tree pg_partition_ancestors pg_jit_available pg_xact_status
    txid_status pg_xact_commit_timestamp pg_xact_commit_timestamp_origin pg_last_committed_xact pg_notification_queue_usage
    pg_collation_actual_version pg_database_collation_actual_version pg_get_wait_events pg_stat_have_stats
    pg_stat_get_xact_blocks_fetched pg_stat_get_xact_blocks_hit pg_stat_get_xact_numscans
    pg_stat_get_xact_tuples_deleted pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated
    pg_stat_get_xact_tuples_inserted pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated
    pg_stat_get_io pg_stat_get_backend_io pg_stat_get_recovery_prefetch`),
)

/** Also named here where the catalogue calls them stable, and where they belong to well-known extensions. */
const HAZARDS: readonly (readonly [readonly FunctionHazard[], string])[] = [
  [
    ['dynamic-sql'],
    `query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema table_to_xml
     table_to_xmlschema table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
     database_to_xml database_to_xmlschema database_to_xml_and_xmlschema ts_stat ts_rewrite crosstab crosstab2 crosstab3
     crosstab4 crosstabn connectby xpath_table plpgsql_inline_handler plpgsql_call_handler`,
  ],
  [
    ['dynamic-sql', 'network'],
    `dblink dblink_exec dblink_open dblink_fetch dblink_close dblink_connect dblink_connect_u dblink_disconnect
     dblink_send_query dblink_get_result dblink_cancel_query dblink_build_sql_insert dblink_build_sql_update`,
  ],
  [
    ['file'],
    `pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_ls_dir pg_ls_logdir pg_ls_waldir pg_ls_tmpdir
     pg_ls_archive_statusdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir pg_ls_summariesdir
     pg_current_logfile pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings pg_available_wal_summaries
     pg_wal_summary_contents pg_get_loaded_modules pg_available_extensions pg_available_extension_versions
     pg_extension_update_paths pg_file_read pg_file_write pg_file_rename pg_file_unlink pg_file_sync pg_file_length
     pg_logdir_ls pg_get_wal_records_info pg_get_wal_stats get_raw_page`,
  ],
  [['file', 'large-object'], 'lo_import lo_export'],
  [
    ['large-object'],
    `lo_close lo_creat lo_create lo_from_bytea lo_get lo_lseek lo_lseek64 lo_open lo_put lo_tell lo_tell64 lo_truncate
     lo_truncate64 lo_unlink loread lowrite lo_manage`,
  ],
  [['setting'], 'set_config setseed set_limit'],
  [['notify'], 'pg_notify'],
  [['sleep'], 'pg_sleep pg_sleep_for pg_sleep_until'],
  [
    ['lock'],
    `pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
     pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
     pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared`,
  ],
  [['sequence'], 'nextval setval currval lastval'],
  [
    ['admin'],
    `pg_terminate_backend pg_cancel_backend pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_promote
     pg_switch_wal pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup
     pg_wal_replay_pause pg_wal_replay_resume pg_log_backend_memory_contexts pg_log_standby_snapshot
     pg_create_logical_replication_slot pg_create_physical_replication_slot pg_copy_logical_replication_slot
     pg_copy_physical_replication_slot pg_drop_replication_slot pg_replication_slot_advance pg_sync_replication_slots
     pg_logical_slot_get_changes pg_logical_slot_get_binary_changes pg_logical_slot_peek_changes
     pg_logical_slot_peek_binary_changes pg_logical_emit_message pg_replication_origin_advance
     pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_session_reset
     pg_replication_origin_session_setup pg_replication_origin_xact_reset pg_replication_origin_xact_setup
     pg_stat_reset pg_stat_reset_shared pg_stat_reset_slru pg_stat_reset_replication_slot
     pg_stat_reset_subscription_stats pg_stat_reset_backend_stats pg_stat_reset_single_function_counters
     pg_stat_reset_single_table_counters pg_stat_statements_reset pg_import_system_collations pg_nextoid
     pg_stop_making_pinned_objects pg_restore_relation_stats pg_restore_attribute_stats pg_clear_relation_stats
     pg_clear_attribute_stats pg_extension_config_dump heap_force_kill heap_force_freeze pg_prewarm`,
  ],
]

/** Stable by the catalogue, but they give the transaction a number. */
const ASSIGNS_TRANSACTION_ID = new Set(['txid_current', 'pg_current_xact_id'])

const CLASS_OF_HAZARD: Readonly<Record<FunctionHazard, SqlClass>> = {
  sleep: 'session',
  lock: 'session',
  setting: 'session',
  sequence: 'write',
  notify: 'write',
  'large-object': 'write',
  'dynamic-sql': 'procedural',
  file: 'admin',
  program: 'admin',
  network: 'admin',
  admin: 'admin',
}

const NO_HAZARDS: readonly FunctionHazard[] = Object.freeze([])
const UNKNOWN_FUNCTION: FunctionJudgement = Object.freeze({
  volatility: 'unknown',
  hazards: NO_HAZARDS,
  class: 'unknown',
  takesRow: true,
})

const OPERATORS: ReadonlySet<string> = new Set(words(SAFE_OPERATORS))
/** Names that the server turns into a builtin type and a sequence. */
const SERIAL_TYPES = ['serial', 'serial2', 'serial4', 'serial8', 'smallserial', 'bigserial']
const TYPES: ReadonlySet<string> = new Set([...words(BUILTIN_TYPES), ...SERIAL_TYPES])
const FUNCTIONS: ReadonlyMap<string, FunctionJudgement> = buildFunctions()

/** Facts about a function of pg_catalog; volatility `unknown` for a name that is not there. */
export function judgeFunction(name: string): FunctionJudgement {
  return FUNCTIONS.get(name) ?? UNKNOWN_FUNCTION
}

/** Whether pg_catalog has an operator of that name (none of them is volatile). */
export function isBuiltinOperator(name: string): boolean {
  return OPERATORS.has(name)
}

export function isBuiltinType(name: string): boolean {
  return TYPES.has(name)
}

function buildFunctions(): Map<string, FunctionJudgement> {
  const result = new Map<string, FunctionJudgement>()
  const rows = new Set(words(ROW_FUNCTIONS))
  const hazards = new Map<string, readonly FunctionHazard[]>()
  for (const [kinds, names] of HAZARDS) for (const name of words(names)) hazards.set(name, Object.freeze([...kinds]))
  const add = (name: string, volatility: FunctionCall['volatility']): void => {
    const kinds = hazards.get(name) ?? NO_HAZARDS
    const takesRow = rows.has(name) || volatility === 'unknown'
    result.set(name, Object.freeze({ volatility, hazards: kinds, class: classOf(name, volatility, kinds), takesRow }))
  }
  for (const name of hazards.keys()) add(name, 'unknown')
  for (const name of words(IMMUTABLE_FUNCTIONS)) add(name, 'immutable')
  for (const name of words(STABLE_FUNCTIONS)) add(name, 'stable')
  for (const name of words(VOLATILE_FUNCTIONS)) add(name, 'volatile')
  return result
}

function classOf(name: string, volatility: FunctionCall['volatility'], hazards: readonly FunctionHazard[]): SqlClass {
  if (volatility === 'unknown') return 'unknown'
  let worst: SqlClass = ASSIGNS_TRANSACTION_ID.has(name) ? 'write' : 'read'
  // currval and lastval only look, but at what the session did.
  if (name === 'currval' || name === 'lastval') return 'session'
  for (const hazard of hazards) worst = worstClass(worst, CLASS_OF_HAZARD[hazard])
  const isHarmful = volatility === 'volatile' && hazards.length === 0 && !HARMLESS_VOLATILE.has(name)
  return isHarmful ? worstClass(worst, 'write') : worst
}
