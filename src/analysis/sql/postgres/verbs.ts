import type { SqlClass } from '../../../core/index.js'
import { type Fields, textOf } from './tree.js'

/** Statements that need no walk of their own: what they are called and how harmful they are. Their parts are walked as definitions. */
const PLAIN: Readonly<Record<string, readonly [verb: string, statementClass: SqlClass]>> = {
  AlterCollationStmt: ['alter collation', 'ddl'],
  AlterDatabaseRefreshCollStmt: ['alter database', 'admin'],
  AlterDatabaseSetStmt: ['alter database', 'admin'],
  AlterDatabaseStmt: ['alter database', 'admin'],
  AlterDefaultPrivilegesStmt: ['alter default privileges', 'dcl'],
  AlterDomainStmt: ['alter domain', 'ddl'],
  AlterEnumStmt: ['alter type', 'ddl'],
  AlterEventTrigStmt: ['alter event trigger', 'admin'],
  AlterExtensionContentsStmt: ['alter extension', 'admin'],
  AlterExtensionStmt: ['alter extension', 'admin'],
  AlterFdwStmt: ['alter foreign data wrapper', 'admin'],
  AlterForeignServerStmt: ['alter server', 'admin'],
  AlterFunctionStmt: ['alter function', 'ddl'],
  AlterObjectDependsStmt: ['alter', 'ddl'],
  AlterObjectSchemaStmt: ['alter', 'ddl'],
  AlterOpFamilyStmt: ['alter operator family', 'ddl'],
  AlterOperatorStmt: ['alter operator', 'ddl'],
  AlterOwnerStmt: ['alter', 'dcl'],
  AlterPolicyStmt: ['alter policy', 'dcl'],
  AlterPublicationStmt: ['alter publication', 'admin'],
  AlterRoleSetStmt: ['alter role', 'dcl'],
  AlterRoleStmt: ['alter role', 'dcl'],
  AlterSeqStmt: ['alter sequence', 'ddl'],
  AlterStatsStmt: ['alter statistics', 'ddl'],
  AlterSubscriptionStmt: ['alter subscription', 'admin'],
  AlterSystemStmt: ['alter system', 'admin'],
  AlterTSConfigurationStmt: ['alter text search configuration', 'ddl'],
  AlterTSDictionaryStmt: ['alter text search dictionary', 'ddl'],
  AlterTableMoveAllStmt: ['alter tablespace', 'admin'],
  AlterTableSpaceOptionsStmt: ['alter tablespace', 'admin'],
  AlterTableStmt: ['alter', 'ddl'],
  AlterTypeStmt: ['alter type', 'ddl'],
  AlterUserMappingStmt: ['alter user mapping', 'admin'],
  CheckPointStmt: ['checkpoint', 'admin'],
  ClusterStmt: ['cluster', 'ddl'],
  CommentStmt: ['comment', 'ddl'],
  CompositeTypeStmt: ['create type', 'ddl'],
  ConstraintsSetStmt: ['set constraints', 'session'],
  CreateAmStmt: ['create access method', 'admin'],
  CreateCastStmt: ['create cast', 'ddl'],
  CreateConversionStmt: ['create conversion', 'ddl'],
  CreateDomainStmt: ['create domain', 'ddl'],
  CreateEnumStmt: ['create type', 'ddl'],
  CreateEventTrigStmt: ['create event trigger', 'admin'],
  CreateExtensionStmt: ['create extension', 'admin'],
  CreateFdwStmt: ['create foreign data wrapper', 'admin'],
  CreateForeignServerStmt: ['create server', 'admin'],
  CreateForeignTableStmt: ['create foreign table', 'ddl'],
  CreateOpClassStmt: ['create operator class', 'ddl'],
  CreateOpFamilyStmt: ['create operator family', 'ddl'],
  CreatePLangStmt: ['create language', 'admin'],
  CreatePolicyStmt: ['create policy', 'dcl'],
  CreatePublicationStmt: ['create publication', 'admin'],
  CreateRangeStmt: ['create type', 'ddl'],
  CreateRoleStmt: ['create role', 'dcl'],
  CreateSchemaStmt: ['create schema', 'ddl'],
  CreateSeqStmt: ['create sequence', 'ddl'],
  CreateStatsStmt: ['create statistics', 'ddl'],
  CreateStmt: ['create table', 'ddl'],
  CreateSubscriptionStmt: ['create subscription', 'admin'],
  CreateTableSpaceStmt: ['create tablespace', 'admin'],
  CreateTransformStmt: ['create transform', 'ddl'],
  CreateTrigStmt: ['create trigger', 'ddl'],
  CreateUserMappingStmt: ['create user mapping', 'admin'],
  CreatedbStmt: ['create database', 'admin'],
  DefineStmt: ['create', 'ddl'],
  DropOwnedStmt: ['drop owned', 'dcl'],
  DropRoleStmt: ['drop role', 'dcl'],
  DropSubscriptionStmt: ['drop subscription', 'admin'],
  DropTableSpaceStmt: ['drop tablespace', 'admin'],
  DropUserMappingStmt: ['drop user mapping', 'admin'],
  DropdbStmt: ['drop database', 'admin'],
  GrantRoleStmt: ['grant', 'dcl'],
  GrantStmt: ['grant', 'dcl'],
  ImportForeignSchemaStmt: ['import foreign schema', 'admin'],
  IndexStmt: ['create index', 'ddl'],
  LoadStmt: ['load', 'admin'],
  ReassignOwnedStmt: ['reassign owned', 'dcl'],
  ReindexStmt: ['reindex', 'ddl'],
  RenameStmt: ['alter', 'ddl'],
  SecLabelStmt: ['security label', 'dcl'],
  VacuumStmt: ['vacuum', 'admin'],
}

const OWN: Readonly<Record<string, string>> = {
  SelectStmt: 'select',
  InsertStmt: 'insert',
  UpdateStmt: 'update',
  DeleteStmt: 'delete',
  MergeStmt: 'merge',
  ExplainStmt: 'explain',
  CopyStmt: 'copy',
  CallStmt: 'call',
  DoStmt: 'do',
  PrepareStmt: 'prepare',
  ExecuteStmt: 'execute',
  DeallocateStmt: 'deallocate',
  DeclareCursorStmt: 'declare',
  ClosePortalStmt: 'close',
  DiscardStmt: 'discard',
  ListenStmt: 'listen',
  UnlistenStmt: 'unlisten',
  NotifyStmt: 'notify',
  LockStmt: 'lock',
  TruncateStmt: 'truncate',
  RefreshMatViewStmt: 'refresh materialized view',
  RuleStmt: 'create rule',
  ViewStmt: 'create view',
  VariableShowStmt: 'show',
}

const TRANSACTION_VERBS: Readonly<Record<string, string>> = {
  TRANS_STMT_BEGIN: 'begin',
  TRANS_STMT_START: 'begin',
  TRANS_STMT_COMMIT: 'commit',
  TRANS_STMT_ROLLBACK: 'rollback',
  TRANS_STMT_SAVEPOINT: 'savepoint',
  TRANS_STMT_RELEASE: 'release',
  TRANS_STMT_ROLLBACK_TO: 'rollback to',
  TRANS_STMT_PREPARE: 'prepare transaction',
  TRANS_STMT_COMMIT_PREPARED: 'commit prepared',
  TRANS_STMT_ROLLBACK_PREPARED: 'rollback prepared',
}

/** Undefined: a statement with a walk of its own, or one nobody here knows. */
export function plainClass(kind: string): SqlClass | undefined {
  return PLAIN[kind]?.[1]
}

/** The lower-case verb of a statement, such as `drop table`. */
export function verbOf(kind: string, fields: Fields): string {
  switch (kind) {
    case 'TransactionStmt':
      return TRANSACTION_VERBS[textOf(fields['kind']) ?? ''] ?? 'transaction'
    case 'VariableSetStmt':
      return String(fields['kind']).startsWith('VAR_RESET') ? 'reset' : 'set'
    case 'DropStmt':
      return `drop ${objectName(fields['removeType'])}`
    case 'AlterTableStmt':
      return `alter ${objectName(fields['objtype'])}`
    case 'RenameStmt':
      return fields['renameType'] === 'OBJECT_COLUMN'
        ? `alter ${objectName(fields['relationType'])}`
        : `alter ${objectName(fields['renameType'])}`
    case 'AlterObjectSchemaStmt':
    case 'AlterOwnerStmt':
    case 'AlterObjectDependsStmt':
      return `alter ${objectName(fields['objectType'])}`
    case 'DefineStmt':
      return `create ${objectName(fields['kind'])}`
    case 'CreateTableAsStmt':
      return fields['objtype'] === 'OBJECT_MATVIEW' ? 'create materialized view' : 'create table as'
    case 'CreateFunctionStmt':
      return fields['is_procedure'] === true ? 'create procedure' : 'create function'
    case 'FetchStmt':
      return fields['ismove'] === true ? 'move' : 'fetch'
    case 'GrantStmt':
    case 'GrantRoleStmt':
      return fields['is_grant'] === true ? 'grant' : 'revoke'
    case 'VacuumStmt':
      return fields['is_vacuumcmd'] === true ? 'vacuum' : 'analyze'
  }
  return OWN[kind] ?? PLAIN[kind]?.[0] ?? 'unknown'
}

const OBJECT_NAMES: Readonly<Record<string, string>> = {
  OBJECT_MATVIEW: 'materialized view',
  OBJECT_TABCONSTRAINT: 'table',
  OBJECT_DOMCONSTRAINT: 'domain',
  OBJECT_OPCLASS: 'operator class',
  OBJECT_OPFAMILY: 'operator family',
  OBJECT_FDW: 'foreign data wrapper',
  OBJECT_FOREIGN_SERVER: 'server',
  OBJECT_STATISTIC_EXT: 'statistics',
  OBJECT_ATTRIBUTE: 'type',
  OBJECT_TSCONFIGURATION: 'text search configuration',
  OBJECT_TSDICTIONARY: 'text search dictionary',
  OBJECT_TSPARSER: 'text search parser',
  OBJECT_TSTEMPLATE: 'text search template',
}

function objectName(value: unknown): string {
  const name = textOf(value) ?? 'OBJECT_UNKNOWN'
  return OBJECT_NAMES[name] ?? name.replace('OBJECT_', '').toLowerCase().replaceAll('_', ' ')
}
