"""Every bound of the bridge, each with its reason (leaf, pure). What an operator may set has its default in `config`."""

from typing import Final

# --- messages and the log ---------------------------------------------------------------------------------------
# The Iggy SDK refuses more (measured on 0.9.0); the embedded log takes the same so that a topic can move.
MESSAGE_PAYLOAD_BYTES_MAX: Final = 64_000_000
# Iggy's frame is 64 MiB; the rest of it is for the frame's own headers: 512 bytes, and 48 for each message.
APPEND_BYTES_MAX: Final = 64 * 1024 * 1024 - 64 * 1024
APPEND_MESSAGE_OVERHEAD_BYTES: Final = 48
# Iggy: one byte of length for keys and values of headers, 100,000 bytes for the whole block.
HEADER_KEY_BYTES_MAX: Final = 255
HEADER_VALUE_BYTES_MAX: Final = 255
HEADERS_BYTES_MAX: Final = 100_000
# Iggy: one byte of length for names and partition keys.
NAME_CHARS_MAX: Final = 255
PARTITION_KEY_BYTES_MAX: Final = 255
# Iggy refuses more at creation.
PARTITIONS_MAX: Final = 1000
# Iggy: topics of a stream.
TOPICS_PER_STREAM_MAX: Final = 4096
# SQLite keeps integers as signed 64 bit.
OFFSET_MAX: Final = 2**63 - 1
MESSAGE_ID_MAX: Final = 2**128 - 1
# The original's range; Iggy would take 32 bits.
CONSUMER_ID_MAX: Final = 1_000_000_000
# A page is one answer in memory: what 8 slow pollers may hold at once must fit beside everything else.
PAGE_BYTES_MAX: Final = 16 * 1024 * 1024
# Iggy puts no cap on a poll (one returned 1.2 million messages): this one keeps building a page below 10 ms.
PAGE_MESSAGES_MAX: Final = 10_000
# Pages that many read, as the log gave them and as JSON, each within this: some 300 pages of 100 small messages.
HOT_PAGES_BYTES_MAX: Final = 16 * 1024 * 1024
# Pages remembered as read once; about 300 bytes each.
HOT_PAGES_SEEN_MAX: Final = 1_024
# What one message of a kept page weighs beside its payload: four objects of Python.
HOT_PAGES_MESSAGE_BYTES: Final = 256
# Payloads whose form (event, JSON, text, bytes) is remembered, so that a message is judged once and not at every read.
KNOWN_PAYLOADS_BYTES_MAX: Final = 32 * 1024 * 1024
# What a payload remembered weighs beside its bytes.
KNOWN_PAYLOAD_OVERHEAD_BYTES: Final = 160

# --- the embedded log -------------------------------------------------------------------------------------------
# Appends that wait for the writer thread; at about 1 ms a commit, 10,000 wait 10 commits of 1,000.
LOCAL_APPENDS_WAITING_MAX: Final = 10_000
# Bytes that wait for the writer thread; four of the largest bodies.
LOCAL_BYTES_WAITING_MAX: Final = 4 * APPEND_BYTES_MAX
# One transaction: long enough to share the sync (93,000 rows/s measured), short enough to stay near 10 ms.
LOCAL_COMMIT_MESSAGES_MAX: Final = 4_096
LOCAL_COMMIT_BYTES_MAX: Final = 8 * 1024 * 1024
# Threads that read: two cores; more only queue on the disk.
LOCAL_READERS: Final = 2
# Reads that wait for a reader thread, before "overloaded".
LOCAL_READS_WAITING_MAX: Final = 1_000
# Retention looks once a minute, as Iggy does, and removes so many rows (chunks) at a time that a commit stays short.
RETENTION_INTERVAL_S: Final = 60.0
RETENTION_ROWS_PER_COMMIT: Final = 1_000
# What SQLite may keep of the write-ahead log after a checkpoint.
LOCAL_WAL_BYTES_MAX: Final = 64 * 1024 * 1024

# Messages that share one stored row: a page of 100 is then two rows, and a read in the middle decodes no more than this.
LOCAL_CHUNK_MESSAGES_MAX: Final = 128
LOCAL_CHUNK_BYTES_MAX: Final = 64 * 1024
# Streams and partitions of one embedded log; about 250 bytes each are held in memory.
LOCAL_STREAMS_MAX: Final = 100_000
LOCAL_PARTITIONS_MAX: Final = 1_000_000
# Pages of the write-ahead log (4 KiB each) before they are moved into the database; SQLite's own default.
LOCAL_CHECKPOINT_PAGES: Final = 1_000
# How long another process (a backup, a shell) may hold the database before a write gives up.
LOCAL_BUSY_TIMEOUT_MS: Final = 2_000

# --- Iggy -------------------------------------------------------------------------------------------------------
# One client runs one request at a time (measured). A partition always uses the same lane, so order holds;
# four lanes carried 2.6 times what one did on two cores, sixteen no more.
IGGY_SEND_LANES: Final = 4
IGGY_READ_CLIENTS: Final = 4
# Callers behind one client's lock; the SDK's own 30 s deadline counts from the call, not from its turn.
IGGY_CALLS_WAITING_MAX: Final = 256
# Reads that wait for another's request for the same page; each is a connection, so a part of those there may be.
IGGY_READS_SHARING_MAX: Final = 4_096
# Callers that wait for the connection to come back; each holds its body.
IGGY_RECONNECT_WAITERS_MAX: Final = 10_000
# How long partition counts and durability of a topic are believed without looking again.
TOPIC_CACHE_TTL_S: Final = 5.0
TOPIC_CACHE_ENTRIES_MAX: Final = 10_000
# One dial with login: argon2 on the server takes up to 90 ms; a dead peer must not hold the state machine.
IGGY_CONNECT_TIMEOUT_S: Final = 5.0
# Before the first connection nobody knows whether an Iggy is there: requests must end below a second (F11).
IGGY_FIRST_CONNECT_WAIT_S: Final = 0.75
# A call that was given up runs on in the SDK for up to a minute and holds a socket; past this no more are begun.
IGGY_CALLS_ABANDONED_MAX: Final = 64
# A request that breaks the connection whenever it is made must not break it until its deadline.
IGGY_REPEATS_MAX: Final = 3
# A client idle for longer is asked for a sign of life before a write, so that a dead one leaves no doubt.
IGGY_IDLE_S: Final = 1.0
# Messages of a first read from a partition whose messages' size is not known: 8 of the largest fit in memory.
IGGY_FIRST_READ_MESSAGES: Final = 8
# Segments of topics with retention: whole sealed segments are removed, so they must be small (Iggy: 1 MiB..1 GiB).
IGGY_SEGMENT_BYTES_MIN: Final = 1024 * 1024
IGGY_SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024

# --- gathered sends ---------------------------------------------------------------------------------------------
GATHER_MESSAGES_MAX: Final = 1_000
GATHER_BYTES_MAX: Final = 1024 * 1024
# Callers that wait in all lanes together, before "overloaded".
GATHER_WAITING_MAX: Final = 10_000
GATHER_WAITING_BYTES_MAX: Final = 256 * 1024 * 1024
# Lanes for topic partitions that are being written; an idle lane is dropped at once.
GATHER_LANES_MAX: Final = 10_000

# --- HTTP -------------------------------------------------------------------------------------------------------
REQUEST_TIMEOUT_MS_MIN: Final = 100
REQUEST_TIMEOUT_MS_MAX: Final = 300_000
REQUEST_ID_CHARS_MAX: Final = 128
# A request line and a header field; aiohttp's 8190 serves cookies, which are not used here.
REQUEST_LINE_BYTES_MAX: Final = 4096
HEADER_FIELD_BYTES_MAX: Final = 4096
HEADER_FIELDS_MAX: Final = 64
# Also the deadline for the first header block of a connection (measured on aiohttp 3.14.5).
KEEPALIVE_TIMEOUT_S: Final = 15.0
# A body may take 10 s and a second for each 64 KiB, at most 30 s in all; then 408.
BODY_TIMEOUT_BASE_S: Final = 10.0
BODY_BYTES_PER_S_MIN: Final = 64 * 1024
BODY_TIMEOUT_MAX_S: Final = 30.0
# After 413 the rest of the body is read for so long before the connection is closed.
LINGER_S: Final = 2.0
CONNECTIONS_MAX: Final = 10_000
CONNECTIONS_PER_ADDRESS_MAX: Final = 1_000
# Callers who come at once, before they are taken; one more waits a second for its next try. The kernel cuts it to its own bound.
LISTEN_BACKLOG: Final = 4096
# RFC 7239 lists grow by one entry a proxy; nobody has ten.
FORWARDED_ENTRIES_MAX: Final = 10
# A person's JSON stays under 20; parsers of consumers break at a few hundred.
JSON_DEPTH_MAX: Final = 64
EVENT_TYPE_CHARS_MAX: Final = 256
# Up to here a body is checked by building its objects, which costs up to 24 bytes for each of its own and is let
# go at once; beyond, it is only scanned. At 10 ms a MiB, this is what the event loop can wait for.
JSON_FAST_BYTES_MAX: Final = 512 * 1024
# Events of a large batch that are looked at in one go: 1 ms where they are plain, 8 where they are not.
JSON_STEP_BYTES: Final = 128 * 1024
# Numbers of more than 200 digits or beyond 1e299 in a body of more than that; each is looked at in Python, at 2 us.
JSON_WIDE_NUMBERS_MAX: Final = 10_000
# One line of an NDJSON body; what is larger is sent by itself.
NDJSON_LINE_BYTES_MAX: Final = 1024 * 1024
# Lines that are committed together, and their payloads; with what fills meanwhile, a body holds three times this.
NDJSON_BATCH_MESSAGES: Final = 1_000
NDJSON_BATCH_BYTES: Final = 1024 * 1024
# How long the next bytes of an NDJSON body may take; the whole may take for ever.
NDJSON_IDLE_TIMEOUT_S: Final = 30.0
# Faulty lines that an answer tells one by one; the rest is counted.
NDJSON_FAULTS_TOLD: Final = 100
# Ranges of offsets that an answer tells; further ones are joined to the last of their partition.
NDJSON_RANGES_TOLD: Final = 1_000
# NDJSON bodies that are read at a time, each with its batches and its decompressor: 300 MB.
NDJSON_BODIES_MAX: Final = 64
# What one step of decompression gives.
INFLATE_PIECE_BYTES: Final = 64 * 1024
# Logs as JSON shrink to a tenth or a fiftieth; bombs are at 1,000 and more. The first MiB is anybody's.
INFLATE_RATIO_MAX: Final = 200
INFLATE_RATIO_FREE_BYTES: Final = 1024 * 1024
# 8 MiB for each decompressor, which is what RFC 8878 (section 3.1.1.1.2) asks of everyone.
ZSTD_WINDOW_LOG_MAX: Final = 23
# What a fault shows of a field name that came from outside.
FAULT_NAME_CHARS_MAX: Final = 64
# A hundred years: beyond it an expiry in microseconds is a spelling of "never".
RETENTION_AGE_S_MAX: Final = 100 * 365 * 24 * 3600
# Longest spelling of an amount: 38 digits is what databases keep.
AMOUNT_DIGITS_MAX: Final = 38
# Handlers end by their deadline themselves; what has not ended so long after it is ended for them.
DEADLINE_BACKSTOP_S: Final = 0.5
# What 503 says where nobody knows better.
RETRY_AFTER_DEFAULT_MS: Final = 1000
# What a log line shows of any text from outside.
LOG_FIELD_CHARS_MAX: Final = 256
# A traceback is the one long field: head and tail of so much show the raise and the way to it.
LOG_TRACEBACK_CHARS_MAX: Final = 16_384
# Lines that wait for a slow reader of stdout, about 4 MB; more are dropped and counted, requests never wait for a log.
LOG_LINES_WAITING_MAX: Final = 10_000

# --- bulk out ---------------------------------------------------------------------------------------------------
# One read of a stream: as many as a program asks the SDK for at once, so that requests are no dearer by the message.
BULK_PAGE_MESSAGES: Final = 1_000
# What of a page becomes JSON, and is compressed, in one go: 1 ms, at most 5 ms, before others get their turn.
BULK_PART_MESSAGES: Final = 250
BULK_PART_BYTES: Final = 256 * 1024
# How long a client may take nothing at all; what it takes counts from 64 KiB on, which is aiohttp's buffer.
BULK_WRITE_TIMEOUT_S: Final = 30.0
# Streams at once: each holds two pages, of PAGE_BYTES_MAX at worst.
BULK_READS_MAX: Final = 32

# --- rate limits and keys ---------------------------------------------------------------------------------------
# Addresses remembered; at about 300 bytes each this is 30 MB.
RATE_LIMIT_ADDRESSES_MAX: Final = 100_000
FAILED_KEYS_BURST: Final = 5
# "At once": long enough that a slow guesser's five count together, short enough to type the key again.
FAILED_KEYS_BURST_S: Final = 10
FAILED_KEYS_PER_MINUTE: Final = 10

# --- figures ----------------------------------------------------------------------------------------------------
# Topics that get their own label in the metrics; the rest is counted as "other".
METRICS_TOPICS_MAX: Final = 1_000
LOOP_LAG_INTERVAL_S: Final = 0.25

# --- overload -------------------------------------------------------------------------------------------------------
# At 20-70 us a request, this many in one turn of the loop take below 5 ms; fewer make the gathered writes smaller.
ADMITTED_REQUESTS_MIN: Final = 64
# Before anything is known of the machine: 512 take about 30 ms.
ADMITTED_REQUESTS_START: Final = 512
# A turn of the loop is then about 30 ms long, and a probe, which takes two, is answered within 50 ms.
LOOP_LATE_S: Final = 0.015
# Begun in one turn of the loop; more wait for the next, so that a turn stays below 5 ms however many come at once.
REQUESTS_PER_TURN: Final = 64
# How often that is looked at while there is much to do.
LOOP_LOOK_S: Final = 0.01
# At 40 us each on a free core, a fiftieth of it; at 200 us on one shared by five, a tenth.
REFUSALS_PER_S_MAX: Final = 500
# Connections taken in one turn of the loop: at 100 us each they take 3 ms.
ACCEPTS_PER_TURN: Final = 32
# Before the next attempt where a connection could not be taken for want of descriptors; asyncio rests so long too.
ACCEPT_REST_S: Final = 1.0
# Ten thousand connections that are refused again and again.
REFUSED_REST_S_MAX: Final = 4.0

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
# One worker's figures: 1,000 topics with names of 255 characters and four numbers each are 600 KB.
WORKER_FIGURES_BYTES_MAX: Final = 1024 * 1024
# Addresses of one set in a table shared by workers; the one nearest to a full bucket goes first.
SHARED_TABLE_WAYS: Final = 8
# Attempts to lock one row; a worker stopped while it holds one must stop no other, who then counts without it.
SHARED_TABLE_LOCK_TRIES: Final = 100

# --- shutdown ---------------------------------------------------------------------------------------------------
# Below the 30 s that Kubernetes gives a pod.
SHUTDOWN_GRACE_S: Final = 25.0
# Between "not ready" and "stop accepting", so that load balancers notice; only where a balancer is there.
CLOSE_TIMEOUT_S: Final = 5.0

if APPEND_BYTES_MAX < MESSAGE_PAYLOAD_BYTES_MAX:
    raise AssertionError("one message of the largest size must fit an append")
if GATHER_BYTES_MAX > APPEND_BYTES_MAX or LOCAL_BYTES_WAITING_MAX < APPEND_BYTES_MAX:
    raise AssertionError("what may be gathered must fit what may be sent")
