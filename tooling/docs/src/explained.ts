// What each error code means, and what to do about it. The compiler asks for every code that there is.

import type { AiErrorCode } from "@sentient/ai";
import type { STATUS } from "@sentient/api";
import type { CliErrorCode } from "@sentient/cli";

export type Code = keyof typeof STATUS | CliErrorCode | AiErrorCode;

/** What it says, and what to do. */
export type Explained = readonly [says: string, todo: string];

const LOOK_AGAIN = "Read it again, and decide anew.";
const MEND = "Mend what the message names.";
const PASSES = "It passes by itself: try again.";
const OURS = "Please report it, with the message.";
const RESTORE = "Restore a backup into another folder.";

export const EXPLAINED: Readonly<Record<Code, Explained>> = {
  "ai.bad_option": [
    "an option of a tool, a model, a budget or memory is not known, or not what it can be",
    MEND,
  ],
  "ai.refused": [
    "a model wanted what it may not have; it was told",
    "Nothing: it goes on. Or describe the tool better.",
  ],
  "ai.denied": ["a person did not approve a use of a tool; the model was told", "Nothing: it goes on."],
  "ai.outcome_unknown": [
    "something that is done once was cut off, again and again",
    "Look at what the tool calls; give it `verify`.",
  ],
  "ai.output_too_large": ["a tool gave more than it may", "Ask it for less, or raise `maxOutput`."],
  "ai.budget_exceeded": [
    "the budget of the tree of runs allows no such turn; the model was not asked",
    "Raise it with `budgets.set`, or ask for less.",
  ],
  "ai.tool_failed": ["a tool elsewhere says that it has failed", "Do what its message says."],
  "ai.tool_timeout": [
    "code in a process of its own took too long, and was ended",
    "Raise `timeout`, or make it faster.",
  ],
  "ai.tool_crashed": [
    "code in a process of its own ended before it had answered",
    "Mend it; the message says how it ended.",
  ],
  "ai.tool_name_clash": ["two tools have the same name for a model", "Give one server a `prefix`."],
  "ai.not_isolated": [
    "this machine cannot hold back what untrusted code is not to have",
    "Say `network: true` if it may have that, or run it elsewhere.",
  ],
  "ai.mcp_unreachable": ["an MCP server cannot be reached, or ended", PASSES],
  "ai.model_failed": ["a model failed, or its provider is busy", "It is asked again, as `retry` says."],
  "ai.model_refused": [
    "a provider refuses what it is asked",
    "Look at the key, the model's name and the request.",
  ],
  "ai.incomplete_answer": ["an answer of a model was cut off", "It is asked again, as `retry` says."],
  "ai.bad_embedding": [
    "an embedder gave vectors that are none, or of another length",
    "Say its `dimension` as it is.",
  ],
  "ai.memory_too_large": ["a memory or a message is larger than it may be", "Remember less of it."],
  "ai.script_over": [
    "in a test: a scripted model is asked for more than was written",
    "Write more lines, or end sooner.",
  ],
  "ai.not_recorded": [
    "in a test: what a model is asked stands in no recording",
    "Record anew; the message says what differs.",
  ],
  "ai.bad_recording": ["a file is no recording", "Record anew."],

  "agent.bad_option": ["an option is not known, or not what it can be", MEND],
  "agent.bad_config": ["a setting is not known, or not what it can be", MEND],
  "agent.bad_definition": ["an agent or a workflow cannot be defined like this", MEND],
  "agent.unknown": ["no agent of this name is known here", "Check the name; or start a worker that has it."],
  "agent.invalid_input": ["the input does not fit the schema of who is to take it", MEND],
  "agent.invalid_output": [
    "what the handler gives does not fit its schema",
    "Mend the handler, or the schema.",
  ],
  "agent.invalid_signal": ["the data of a signal does not fit what the run hears", MEND],
  "agent.invalid_answer": [
    "an answer that was stored does not fit the schema of the code any more",
    "Give the question another name.",
  ],
  "agent.invalid_state": ["a state does not fit its schema", "Give new fields defaults."],
  "agent.closed": ["the runtime was closed", "Create another one."],
  "agent.run_cancelled": ["the run that is waited for was cancelled", "It says by whom, and why."],
  "agent.run_parked": [
    "the run that is waited for cannot go on without help",
    "Do what the message says, and resume it.",
  ],
  "agent.result_timeout": ["the run was not over in the time you gave; it goes on", "Ask again."],
  "agent.cancelled": [
    "in a handler: its run is cancelled",
    "Let it pass; what is to be undone is done by `compensate`.",
  ],
  "agent.step_timeout": [
    "an attempt of a step took too long",
    "Raise `timeout`, or make it faster; it is tried again.",
  ],
  "agent.outcome_unknown": [
    "a step that may be begun only once was cut off",
    "Find out what it did; catch this to go on.",
  ],
  "agent.cut_off": [
    "a model's answer ended without its end",
    'It is asked again; a model of your own yields `{ type: "end" }` last.',
  ],
  "agent.no_output": [
    "a model gave no answer that fits its schema",
    "Loosen the schema, or say in the instructions what is meant.",
  ],
  "agent.question_expired": ["nobody has answered in time", "Catch it, or say `onTimeout`."],
  "agent.nested": ["a step asks for more of its run while it works", "Do it before or after the step."],
  "agent.too_long": [
    "a run remembers more steps than is allowed",
    "Have it start another run to go on with.",
  ],
  "agent.stuck": [
    "in a test: nothing that comes by itself helps the run any more",
    "Script what it waits for.",
  ],
  "agent.broken_by_crash": [
    "in a test: a crash changes how the run ends",
    "Move effects into steps; the message names the commit.",
  ],

  "api.bad_config": ["a setting of the API cannot be, or would be unsafe", MEND],
  "api.bad_request": ["the request does not fit the route", MEND],
  "api.not_found": ["there is no such route", "Look at `/reference`."],
  "api.method_not_allowed": ["the route has no such method", "The header `Allow` says which it has."],
  "api.too_large": ["the body or the headers are larger than allowed", "Send less."],
  "api.not_json": ["the body is no JSON, or does not say so", "Say `Content-Type: application/json`."],
  "api.wrong_key": ["`Idempotency-Key` and `key` differ, or it is no key", "Say one of them."],
  "api.wrong_host": ["the server does not go by this name", "Add it to `SENTIENT_API_ALLOWED_HOSTS`."],
  "api.wrong_origin": ["a page of this origin may not ask", "Add it to `SENTIENT_API_ALLOWED_ORIGINS`."],
  "api.not_authenticated": [
    "no valid token was shown",
    "Say `Authorization: Bearer …`; make one with `sentient tokens create`.",
  ],
  "api.not_allowed": ["the token has not the scope", "Use one that has it."],
  "api.too_many_requests": [
    "more requests than this token or address may make",
    "Wait as long as `Retry-After` says.",
  ],
  "api.too_many_streams": ["more open streams than this token may have", "Close some."],
  "api.closing": ["the server is being stopped", "Try again, at another one."],
  "api.not_ready": ["the server cannot do its work at the moment", PASSES],
  "api.internal": [
    "something nobody thought of",
    "Look for the number of the request in the log of the server, and report it.",
  ],

  "cli.usage": ["the command line is not what the command needs", MEND],
  "cli.not_found": ["what was named is not there", "Check the name, and `--url`."],
  "cli.waits": [
    "a person has to say something first",
    "Answer, or say `--yes` where there is such an option.",
  ],
  "cli.interrupted": ["it was ended before it was done", "Start it again: it goes on."],
  "cli.handler_failed": [
    "what was called for an event failed",
    "The message says why; begin again behind the last position.",
  ],
  "cli.failed": ["something nobody thought of", OURS],

  "db.bad_option": ["an option of the database cannot be", MEND],
  "db.bad_url": ["the URL is none that can be opened", MEND],
  "db.bad_statement": ["the text is not one statement", "Split it, or use a transaction."],
  "db.unencodable": ["a value cannot be stored as it is", "The message has its path: send plain data."],
  "db.syntax": ["the database does not understand the statement", MEND],
  "db.double_release": ["a connection was given back twice", "Give it back once, with `using`."],
  "db.nested_acquire": [
    "a session waits for another one of the same pool",
    "Give the first one back before.",
  ],
  "db.already_exists": ["there is such a record already", LOOK_AGAIN],
  "db.unique": ["a unique index has such a value already", LOOK_AGAIN],
  "db.thrown": ["a statement has thrown", "Look at what it threw."],
  "db.invalid_field": ["a field is not what its table says", MEND],
  "db.not_found": ["what was named is not in the database", "Check its name."],
  "db.denied": ["the user may not do this", "Use one with the rights; migrations need `OWNER`."],
  "db.auth_failed": ["the server does not accept the credentials", "Check user, password, `signInAs`."],
  "db.too_deep": ["a value is nested deeper than can be stored", "Make it flatter."],
  "db.too_large": ["a value or an answer is larger than can be sent", "Send less at a time."],
  "db.unsupported_server": ["the server is of a version that is not supported", "Use SurrealDB 3."],
  "db.engine": ["the engine failed in a way that is not known", OURS],
  "db.conflict": ["others changed the same thing each time it was tried", PASSES],
  "db.session_expired": ["the session ended", PASSES],
  "db.pool_timeout": ["no connection was free in time", "Try again; raise `poolSize` if it stays so."],
  "db.pool_full": ["too many calls wait for a connection", "Ask less at once."],
  "db.unreachable": ["the server cannot be reached", PASSES],
  "db.timeout": ["the call took too long", "Look at `outcome`: with `unknown` it may have happened."],
  "db.cancelled": ["your signal ended the call", "Look at `outcome`: with `unknown` it may have happened."],
  "db.connection_lost": [
    "the connection was lost in the midst of it",
    "Look at `outcome`: with `unknown` it may have happened.",
  ],
  "db.closed": ["the database was closed", "Open it again."],
  "db.undecodable": ["an answer cannot be read", OURS],
  "db.locked": [
    "another process owns the folder",
    "Reach it through its owner (`sentient serve`), or end that.",
  ],
  "db.open_failed": ["the folder cannot be opened", "The message says why: rights, a missing folder."],
  "db.corrupt": ["what is on disk is damaged", RESTORE],
  "db.storage_full": ["the disk is full", "Make room; nothing that was acknowledged is lost."],
  "db.storage": ["the disk fails", "Look at the machine; restore a backup if it stays so."],

  "event_bus.invalid_event": ["an event cannot be told like this", MEND],
  "event_bus.bad_filter": ["a filter cannot be", MEND],
  "event_bus.bad_option": ["an option of the log cannot be", MEND],
  "event_bus.not_migrated": ["the tables are not there", "`sentient migrate`."],
  "event_bus.event_conflict": [
    "something else was told under this id",
    "Use another `eventId`; `details.position` has the first.",
  ],
  "event_bus.guard_failed": ["a guard does not hold; nothing was committed", LOOK_AGAIN],
  "event_bus.run_moved": ["the run has other events than was expected; nothing was committed", LOOK_AGAIN],
  "event_bus.overloaded": ["too much waits to be appended", "Wait for some of it."],
  "event_bus.timeout": [
    "it could not be found out in time whether it was committed",
    "Look at `outcome`; tell of it again under the same `eventId`.",
  ],
  "event_bus.cancelled": ["your signal took it back before it was sent", "Nothing was committed."],
  "event_bus.position_trimmed": [
    "the events before this position were removed",
    "Go on from `details.earliest`, and know that there is a gap.",
  ],
  "event_bus.position_ahead": ["the position is none of this log", "Check that it is the same database."],
  "event_bus.not_found": ["there is no such event or consumer", "Check the name."],
  "event_bus.log_damaged": ["an event is missing", RESTORE],
  "event_bus.consumer_mismatch": [
    "the consumer has other partitions, or another filter while somebody works on it",
    "Use another name, or stop the others first.",
  ],
  "event_bus.lease_lost": [
    "another process has taken over the consumer",
    "Look at `outcome`: with `unknown` the commit may have happened.",
  ],
  "event_bus.handler_timeout": [
    "a handler took too long",
    "The reason of a retry or a dead letter: raise `timeout`, or do less.",
  ],
  "event_bus.process_ended": [
    "processes ended while they handled it",
    "The reason of a dead letter: look at the event, then redrive it.",
  ],
  "event_bus.trim_held": [
    "a consumer stands still, and holds what would be removed",
    "Start it, or remove it.",
  ],
  "event_bus.restored": [
    "the database was restored from a backup since this process began",
    "Start it again: what it knew is of the time before.",
  ],
  "event_bus.closed": ["the bus was closed, or the call is over", "Make another."],

  "schema.bad_table": ["a table cannot be defined like this", MEND],
  "schema.unsupported": ["a schema says what cannot be stored", MEND],
  "schema.invalid_value": ["a value does not fit its schema", MEND],
  "schema.invalid_row": [
    "what is stored does not fit this release",
    "Update this program; else somebody wrote past it.",
  ],
  "schema.limit": [
    "something is larger than allowed",
    "`details` has the limit, what is allowed and what it was.",
  ],
  "schema.decision_needed": [
    "the next migration cannot be told from the tables alone",
    "Answer what it asks.",
  ],
  "schema.bad_snapshot": [
    "the snapshot beside the migrations cannot be read",
    "Take it back from version control.",
  ],
  "schema.bad_folder": ["the folder of migrations is not as it should be", MEND],
  "schema.bad_migration": ["a migration cannot be applied like this", MEND],
  "schema.migration_diverged": [
    "a migration that was applied has been edited since",
    "Put it back; write the next one instead.",
  ],
  "schema.migration_failed": [
    "a migration failed; it was taken back",
    "Mend what the message names, and migrate again.",
  ],
  "schema.store_newer": ["a newer release has migrated this store", "Use that release, or restore a backup."],
  "schema.denied": ["the user may not migrate", "Migrate with a user that has `OWNER`."],
  "schema.lock_timeout": ["another process migrates, and takes long", PASSES],
  "schema.lock_lost": ["another process has taken over the migration", PASSES],
  "schema.cancelled": ["your signal ended the migration", "Migrate again: it goes on."],

  "state.bad_option": ["an option cannot be", MEND],
  "state.bad_change": ["a commit cannot be like this", MEND],
  "state.not_found": [
    "there is no such run, question, checkpoint, agent …",
    "Check the name, and the database.",
  ],
  "state.illegal_transition": ["that cannot happen to a run in this status", "`details` has the status."],
  "state.revision_mismatch": ["it has changed since you read it", LOOK_AGAIN],
  "state.run_conflict": ["another run was started under this key", "Use another key, or that run."],
  "state.queue_full": ["more runs wait than is allowed", "Wait until workers have done some."],
  "state.lease_lost": ["another worker has the run", "Leave it: nothing of this change was committed."],
  "state.journal_mismatch": [
    "the code asks for other steps than the run remembers",
    "See [versions](../guides/versions.md).",
  ],
  "state.step_exists": ["the step has its result already", LOOK_AGAIN],
  "state.question_exists": ["the run has asked this already", LOOK_AGAIN],
  "state.nothing_to_wait_for": ["what the run wants to wait for is there", LOOK_AGAIN],
  "state.busy": ["others changed the same thing each time it was tried", PASSES],
  "state.not_open": ["the question was answered, the signal taken, or the time is up", LOOK_AGAIN],
  "state.invalid_answer": ["the answer is not what was asked for", MEND],
  "state.checkpoint_exists": ["the run has another checkpoint of this name", "Use another name."],
  "state.position_ahead": ["the point is none of this run yet", "Check the number."],
  "state.details_removed": [
    "what the run did was removed after its time",
    "Keep it longer: see [retention](../operations.md#retention).",
  ],
  "state.damaged": ["what is stored of a state is not what was written", RESTORE],
  "state.bad_export": ["the text is no export, or not whole", "Export it again."],
  "state.bad_backup": [
    "the file is no backup, or not whole, or of a newer release",
    "Take another one; nothing was changed.",
  ],
  "state.not_empty": [
    "a backup is restored into an empty database only",
    "Name another folder or database; nothing was changed.",
  ],
  "state.half_restored": [
    "a backup was restored in part only",
    "Remove that database, and restore into an empty one.",
  ],
};
