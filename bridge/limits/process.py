"""Bounds of the process, its workers and its audit log (leaf, pure)."""

from typing import Final

# --- figures ----------------------------------------------------------------------------------------------------
# Topics that get their own label in the metrics; the rest is counted as "other".
METRICS_TOPICS_MAX: Final = 1_000
# How often is looked which topics are still there: series of those that are not end so soon.
METRICS_TIDY_INTERVAL_S: Final = 30.0
# An hour of these without use, and a topic's series make room for others where there is none: scrapes have seen them.
METRICS_TOPIC_IDLE_ROUNDS: Final = 120
# Groups likewise: nine series each.
METRICS_GROUPS_MAX: Final = 200
LOOP_LAG_INTERVAL_S: Final = 0.25

# Keys that have figures of their own; the others share one series.
METRICS_KEYS_MAX: Final = 1_000

# --- canary -----------------------------------------------------------------------------------------------------
# Probes give up after a few seconds; what takes longer is no round trip that anybody would call well.
CANARY_TIMEOUT_S: Final = 5.0
# However many ask at `/ready?deep=1`, the log is asked once a second.
CANARY_FRESH_S: Final = 1.0
CANARY_RETENTION_AGE_S: Final = 3600
CANARY_PER_MINUTE_MAX: Final = 60

# --- reloads ----------------------------------------------------------------------------------------------------
# How often the files are looked at that are read again when they change: a few calls of the kernel. One that changed is in
# force after two looks, 10 s; a certificate is renewed days before it ends.
RELOAD_LOOK_INTERVAL_S: Final = 5.0

# --- default topic ----------------------------------------------------------------------------------------------
# How often it is looked for, in case somebody deleted it past the bridge and nobody asks for it: one call of the log.
DEFAULT_TOPIC_LOOK_S: Final = 5.0
# How often one request asks again after it was told that the topic is there: a second deletion meanwhile, not a loop.
DEFAULT_TOPIC_TRIES_MAX: Final = 3

# --- workers ----------------------------------------------------------------------------------------------------
# Beyond this the clients of Iggy (nine a worker) are more than its server has threads for.
WORKERS_MAX: Final = 64
# A worker that lives shorter is in a crash loop: starting takes below a second, then it serves.
WORKER_SHORT_LIFE_S: Final = 10.0
# Short lives in a row of one worker, before all end with 70: the delays before them add up to 15 s.
WORKER_SHORT_LIVES_MAX: Final = 6
# Before the second short life; it doubles with each. The first restart is at once: callers wait in its queue.
WORKER_RESTART_BASE_DELAY_S: Final = 0.5
WORKER_RESTART_DELAY_S_MAX: Final = 8.0
# What a worker is given beyond the grace before it is killed; with the default grace still below Kubernetes' 30 s.
WORKER_KILL_MARGIN_S: Final = 2.0
# How old the figures of another worker may be on a scrape.
WORKER_FIGURES_INTERVAL_S: Final = 1.0
# One worker's figures: 1,000 topics and 200 groups with names of 255 characters are 716 KB, an exemplar in each bucket 60 KB more.
WORKER_FIGURES_BYTES_MAX: Final = 1024 * 1024
# Addresses of one set in a table shared by workers; the one nearest to a full bucket goes first.
SHARED_TABLE_WAYS: Final = 8
# Attempts to lock one row; a worker stopped while it holds one must stop no other, who then counts without it.
SHARED_TABLE_LOCK_TRIES: Final = 100

# --- shutdown ---------------------------------------------------------------------------------------------------
# Below the 30 s that Kubernetes gives a pod.
SHUTDOWN_GRACE_S: Final = 25.0
# What one step of the end may take at most: closing the ports, the farewells, the log.
CLOSE_TIMEOUT_S: Final = 5.0

# --- audit log --------------------------------------------------------------------------------------------------
# A file that is longer is closed and a new one begun: some 150,000 records, which every tool still opens.
AUDIT_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
# Records that wait for the disk; beyond them, changes are refused until it takes some.
AUDIT_WAITING_MAX: Final = 10_000
# A disk that fails is tried again after this.
AUDIT_RETRY_S: Final = 0.5
# Records that are written late share one sync; each is on disk so long after its request at most, if the disk is quick.
AUDIT_GATHER_S: Final = 0.02
# The longest record that is read back: its fields are bounded, and escapes make six bytes of one.
AUDIT_LINE_BYTES_MAX: Final = 64 * 1024

# --- what is remembered in place of being made again ------------------------------------------------------------
# Of log lines: names of fields, and callers with their paths, who come again and again; only an id is new each time.
LOG_TEXTS_REMEMBERED_MAX: Final = 1_024
# The names of a topic as answers and requests to Iggy spell them: of the topics that are in use.
TOPIC_TEXTS_REMEMBERED_MAX: Final = 1_024
# Answers and the messages of a page share their second.
SECONDS_REMEMBERED_MAX: Final = 128
