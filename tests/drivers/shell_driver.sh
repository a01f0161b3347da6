#!/bin/sh
# A driver in POSIX shell, written from docs/drivers.md alone: a small queue of its own in SQLite.
# Each request is one or two runs of the sqlite3 command, whose JSON functions read and write the
# lines (3.38 or later).
#
#     sh shell_driver.sh QUEUE_FILE [CLOCK_OFFSET_MS]
set -u
LC_ALL=C
export LC_ALL
db=$1
offset_ms=${2:-0}
now_ms="CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) + ($offset_ms)"

# The holder's token is the number of the claim, which only grows.
schema="PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY
  AUTOINCREMENT, key TEXT UNIQUE, payload TEXT NOT NULL, priority INTEGER NOT NULL, due_ms INTEGER
  NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL, status TEXT NOT NULL
  DEFAULT 'queued', worker TEXT, lease_until_ms INTEGER, claims INTEGER NOT NULL DEFAULT 0);"

# What a request must have: operation, field, permitted types, least value.
fields="('enqueue','type','text',NULL), ('enqueue','payload','any',NULL),
  ('enqueue','key','text?',NULL), ('enqueue','priority','integer?',NULL),
  ('enqueue','delay_s','integer real?',0), ('enqueue','max_attempts','integer?',1),
  ('claim','worker','text',NULL), ('claim','lease_s','integer real',0.001),
  ('heartbeat','task','object',NULL), ('heartbeat','task.id','integer',NULL),
  ('heartbeat','task.token','integer',NULL), ('heartbeat','lease_s','integer real',0.001),
  ('complete','task','object',NULL), ('complete','task.id','integer',NULL),
  ('complete','task.token','integer',NULL),
  ('fail','task','object',NULL), ('fail','task.id','integer',NULL),
  ('fail','task.token','integer',NULL), ('fail','error','text',NULL),
  ('fail','retry_after_s','integer real?',0),
  ('reclaim','timeout_s','integer real',0), ('vacuum','timeout_s','integer real',0)"

refuse() { # id, code, message, outcome
    printf '{"id":%s,"ok":false,"error":{"code":"%s","message":"%s","outcome":"%s"}}\n' \
        "$1" "$2" "$3" "$4"
}

# Prints the id, the operation and what is wrong with the request, if anything is.
examine() {
    sqlite3 -batch -noheader -separator ' ' :memory: 2>&1 <<SQL
WITH line(j) AS (SELECT '$line'),
  request(j, id, op) AS (SELECT j, j ->> '\$.id', j ->> '\$.op' FROM line
    WHERE json_valid(j) AND json_type(j) = 'object' AND json_type(j, '\$.id') = 'integer'),
  need(op, field, kinds, least) AS (VALUES $fields),
  wrong(field) AS (SELECT field FROM need JOIN request USING (op) WHERE
    CASE coalesce(json_type(j, '\$.' || field), 'nothing')
      WHEN 'nothing' THEN kinds NOT LIKE '%?'
      ELSE kinds <> 'any' AND (instr(kinds, json_type(j, '\$.' || field)) = 0
        OR (least IS NOT NULL AND j ->> ('\$.' || field) < least)) END)
SELECT coalesce((SELECT id FROM request), 'null'),
  CASE WHEN (SELECT json_type(j, '\$.op') FROM request) = 'text'
    AND (SELECT op NOT GLOB '*[^a-z]*' AND op <> '' FROM request)
    THEN (SELECT op FROM request) ELSE 'none' END,
  coalesce((SELECT min(field) FROM wrong), '');
SQL
}

# Runs the statements in one transaction and prints the answer after its commit. They find the
# request in r (j, now_ms) and put their answer into a.
transact() { # statements
    said=$(sqlite3 -batch -noheader -bail "$db" 2>&1 <<SQL
.timeout 5000
PRAGMA synchronous = FULL;
CREATE TEMP TABLE r AS SELECT '$line' AS j, $now_ms AS now_ms;
CREATE TEMP TABLE a (answer);
BEGIN IMMEDIATE;
UPDATE r SET now_ms = $now_ms;
$1
COMMIT;
SELECT answer FROM a;
SQL
    ) && printf '%s\n' "$said" && return
    case $said in
        *locked*) refuse "$id" busy "the queue is locked" failed ;;
        *) refuse "$id" error "sqlite3 failed" unknown; printf '%s\n' "$said" >&2 ;;
    esac
}

j="(SELECT j FROM r)"
now="(SELECT now_ms FROM r)"
shown="json_object('id', id, 'payload', json(payload), 'attempts', attempts, 'max_attempts',
  max_attempts, 'lease_until_ms', lease_until_ms, 'token', claims)"
held="id = $j ->> '\$.task.id' AND claims = $j ->> '\$.task.token' AND status = 'leased'"
lease="lease_until_ms = $now + CAST(round(1000 * ($j ->> '\$.lease_s')) AS INTEGER)"
ended="attempts = attempts + 1, status =
  CASE WHEN attempts + 1 >= max_attempts THEN 'dead_letter' ELSE 'queued' END"

milliseconds() { # field: its seconds, 0 if it is left out
    printf "CAST(round(1000 * coalesce(%s ->> '\$.%s', 0)) AS INTEGER)" "$j" "$1"
}

say() { # fields of the answer
    printf "INSERT INTO a SELECT json_object('id', %s, 'ok', json('true')%s)" "$id" "$1"
}

unless_lost() { # fields of the answer
    printf "INSERT INTO a SELECT CASE changes() WHEN 1 THEN json_object('id', %s, 'ok', json('true')
      %s) ELSE json_object('id', %s, 'ok', json('false'), 'error', json_object('code', 'lease-lost',
      'message', 'another has the task, or it is finished', 'outcome', 'failed')) END;" \
        "$id" "$1" "$id"
}

answer() {
    case $op in
        hello)
            [ -e "$db" ] || sqlite3 -bail "$db" "$schema" >&2
            printf '{"id":%s,"ok":true,"protocol":1,"driver":"shell and sqlite3","capabilities":{' "$id"
            printf '"leases":true,"fencing":true,"priorities":true,"delays":true,"order":true,'
            printf '"keys":true,"retries":true,"delivery":"at-least-once","durability":"full",'
            printf '"maintenance":["vacuum","integrity"]}}\n' ;;
        enqueue) transact "INSERT INTO task (key, payload, priority, due_ms, max_attempts)
              SELECT j ->> '\$.key', j -> '\$.payload', coalesce(j ->> '\$.priority', 100),
              now_ms + $(milliseconds delay_s), coalesce(j ->> '\$.max_attempts', 5)
              FROM r WHERE true ON CONFLICT (key) DO NOTHING;
            $(say ", 'task_id', coalesce((SELECT id FROM task WHERE key = $j ->> '\$.key'),
              last_insert_rowid())");" ;;
        claim) transact "CREATE TEMP TABLE got AS SELECT id FROM task WHERE status = 'queued'
              AND due_ms <= $now ORDER BY priority, id LIMIT 1;
            UPDATE task SET status = 'leased', claims = claims + 1, worker = $j ->> '\$.worker',
              $lease WHERE id IN got;
            $(say ", 'task', json((SELECT $shown FROM task WHERE id IN got))");" ;;
        heartbeat) transact "UPDATE task SET $lease WHERE $held;
            $(unless_lost ", 'task', json((SELECT $shown FROM task WHERE $held))")" ;;
        complete) transact "UPDATE task SET status = 'completed' WHERE $held; $(unless_lost '')" ;;
        fail) transact "UPDATE task SET $ended, due_ms = $now + $(milliseconds retry_after_s)
              WHERE $held;
            $(unless_lost ", 'status', (SELECT status FROM task WHERE id = $j ->> '\$.task.id')")" ;;
        reclaim) transact "UPDATE task SET $ended WHERE status = 'leased'
              AND lease_until_ms + $(milliseconds timeout_s) < $now;
            $(say ", 'count', changes()");" ;;
        snapshot) transact "$(say ", 'tasks', json((SELECT json_group_array(json_object('id', id,
              'key', key, 'status', status, 'attempts', attempts, 'max_attempts', max_attempts,
              'worker', worker, 'payload', payload)) FROM task))");" ;;
        integrity)
            said=$(sqlite3 -batch -cmd ".timeout 5000" "$db" "PRAGMA integrity_check" 2>&1)
            case $said in
                ok) printf '{"id":%s,"ok":true,"problems":[]}\n' "$id" ;;
                *locked*) refuse "$id" busy "the queue is locked" failed ;;
                *) printf '%s\n' "$said" >&2
                    printf '{"id":%s,"ok":true,"problems":["see its standard error"]}\n' "$id" ;;
            esac ;;
        vacuum)
            if sqlite3 -batch -cmd ".timeout 5000" "$db" VACUUM >&2; then
                printf '{"id":%s,"ok":true}\n' "$id"
            else
                refuse "$id" error "VACUUM failed" failed
            fi ;;
        close) printf '{"id":%s,"ok":true}\n' "$id"; exit 0 ;;
        *) refuse "$id" unsupported "there is no such operation here" failed ;;
    esac
}

while IFS= read -r line; do
    case $line in *\'*) line=$(printf '%s\n' "$line" | sed "s/'/''/g") ;; esac
    read -r id op wrong <<SAID
$(examine)
SAID
    case $id-$wrong in
        null-*) refuse null invalid "no request with an id" failed ;;
        *[!0-9-]*) refuse "$id" invalid "missing or wrong: $wrong" failed ;;
        *) answer ;;
    esac
done
exit 0
