"""Bounds of messages and of the logs that keep them (leaf, pure)."""

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
# Over all topics: Iggy keeps 4 files open for each partition (measured on 0.9.0), and 65,536 is what container engines
# and service managers give a process. The embedded log needs none, and takes the same so that topics can move.
PARTITIONS_IN_ALL: Final = 10_000
# How old the number of those there are may be; where there is no room by it, it is counted anew after a second already.
PARTITIONS_RECOUNT_S: Final = 10.0
PARTITIONS_RECOUNT_S_MIN: Final = 1.0
# Streams that are asked for their topics at a time.
PARTITIONS_COUNTED_AT_ONCE: Final = 8
# Iggy: topics of a stream.
TOPICS_PER_STREAM_MAX: Final = 4096
# SQLite keeps integers as signed 64 bit.
OFFSET_MAX: Final = 2**63 - 1
MESSAGE_ID_MAX: Final = 2**128 - 1
# The original's range; Iggy would take 32 bits.
CONSUMER_ID_MAX: Final = 1_000_000_000
# A page is one answer in memory, half as long again as base64 in JSON; a bulk read holds two. What one worker holds at worst of
# all that clients cause, where messages are no longer than a page (a longer one is a page by itself), in MiB: bulk reads
# 32 * 2 * 4 = 256, what clients do not take 128, bodies 128 (MAX_IN_FLIGHT_BODY_BYTES), feeds 64, pages and payloads kept
# 16 + 32 + 64, events sent to Iggy 9, what groups read ahead 32, uploads of lines 64 * 3 = 192: 921, beside 70 of the process
# itself. The manifests allow 1,024.
PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
# What of a page is looked at and encoded in one go, 1 to 20 ms; more is made ready in turns with other requests.
PAGE_LIGHT_BYTES: Final = 512 * 1024
# Sizes of payloads, from none up, whose text is kept to be put into pages: 0.4 MB.
PAGE_SIZES_KEPT_MAX: Final = 4_096
# Iggy puts no cap on a poll (one returned 1.2 million messages): this one keeps building a page below 10 ms.
PAGE_MESSAGES_MAX: Final = 10_000
# Pages of Iggy that many read, as the log gave them and as JSON: some 300 pages of 100 small messages.
HOT_PAGES_BYTES_MAX: Final = 32 * 1024 * 1024
# Pages remembered as read once; about 300 bytes each.
HOT_PAGES_SEEN_MAX: Final = 1_024
# What one message of a kept page weighs beside its payload: four objects of Python.
HOT_PAGES_MESSAGE_BYTES: Final = 256
# What kept messages weigh together beside that: their columns, their key, their place among all that is kept. Of a chunk with
# one message this is most (730 bytes, measured), and whoever sends one at a time has such chunks.
KEPT_RECORDS_BYTES: Final = 768
# What headers weigh beside their text: for a message that has any a mapping and its place, for each header two objects. With
# one header a message weighs 280 bytes more (measured), and it may have 100,000 bytes of them.
KEPT_HEADERS_BYTES: Final = 232
KEPT_HEADER_BYTES: Final = 100
# Payloads whose form (event, JSON, text, bytes) is remembered, so that a message is judged once and not at every read.
KNOWN_PAYLOADS_BYTES_MAX: Final = 32 * 1024 * 1024
# What one of them weighs: a hash, its place, its form (65 to 125 bytes, measured).
KNOWN_PAYLOAD_BYTES: Final = 128
# A longer one is judged at each read: to hash it takes a millisecond and more, in one go.
KNOWN_PAYLOAD_LENGTH_MAX: Final = 1024 * 1024

# --- the embedded log -------------------------------------------------------------------------------------------
# Chunks that were read, as they are stored: some 150,000 small messages. Any page can be cut from them, so they get the larger
# part of what is kept of reads.
LOCAL_HOT_CHUNKS_BYTES_MAX: Final = 64 * 1024 * 1024
# Those of them that were asked for again; the rest is for what comes anew, and for these once they were not asked for in a while.
LOCAL_HOT_CHUNKS_ASKED_BYTES_MAX: Final = LOCAL_HOT_CHUNKS_BYTES_MAX * 3 // 4
# What one of them weighs beside its body: its key, its numbers, its place among all.
LOCAL_HOT_CHUNK_BYTES: Final = 640
# Pages that many read, as JSON as well: some 120 pages of 100 small messages. Of a topic's end there are few.
LOCAL_HOT_PAGES_BYTES_MAX: Final = 16 * 1024 * 1024
# Chunks that one page is cut from on the event loop, at 4 to 12 us each: the longest page of full ones has 79.
LOCAL_HOT_RUNS_MAX: Final = 128
# The newest messages of partitions whose ends are read, until they are: of one a page at most, mostly a commit or two.
LOCAL_NEWEST_BYTES_MAX: Final = 2 * PAGE_BYTES_MAX
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
# SQLite's default, which the bridge does not change.
LOCAL_PAGE_BYTES: Final = 4_096
# What SQLite may keep of the write-ahead log after a checkpoint: one, and the largest commit but for single huge messages.
LOCAL_WAL_BYTES_MAX: Final = 16 * 1024 * 1024
# Kept back on the disk, so that a full one can be left: twice what waits in the write-ahead log between two checkpoints.
LOCAL_RESERVE_BYTES: Final = 8 * 1024 * 1024
# The reserve is this part of the disk at most.
LOCAL_RESERVE_SHARE: Final = 16
# A probe must fail where an append would: it needs some pages, not a corner of one.
LOCAL_PROBE_BYTES: Final = 64 * 1024
# A full log looks so often whether it still is, and lets retention look.
LOCAL_FULL_RETRY_S: Final = 5.0

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
# Pages (4 KiB each) that a backup copies before it tells how far it is and heeds a signal: some 10 ms.
BACKUP_STEP_PAGES: Final = 1_024
# What a copy is read and written by; the same reason.
BACKUP_BLOCK_BYTES: Final = 1024 * 1024
# Steps of SQLite's machine between two looks for a signal while a copy is checked: some 10 ms.
BACKUP_CHECK_STEPS: Final = 100_000
# Must stay free on the disk of a copy: its manifest, its directory, and what others write meanwhile.
BACKUP_SPARE_BYTES: Final = 1024 * 1024
# The manifest of a copy; ours have half a KiB.
BACKUP_MANIFEST_BYTES_MAX: Final = 64 * 1024

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
# One dial with login: argon2 on the server takes up to 90 ms; but a cluster that elects a leader answers no login until
# it has one (5 to 7 s measured), and a login that is given up and made again prolongs that.
IGGY_CONNECT_TIMEOUT_S: Final = 15.0
# Before the first connection nobody knows whether an Iggy is there: requests must end below a second (F11).
IGGY_FIRST_CONNECT_WAIT_S: Final = 0.75
# A call that was given up runs on in the SDK for up to a minute and holds a socket; past this no more are begun.
IGGY_CALLS_ABANDONED_MAX: Final = 64
# A request that breaks the connection whenever it is made must not break it until its deadline.
IGGY_REPEATS_MAX: Final = 3
# A client idle for longer is asked for a sign of life before a write, so that a dead one leaves no doubt. The SDK says
# "cannot establish connection" both for a write that it sent and for one that it could not send (iggy.md, section 2).
IGGY_IDLE_S: Final = 0.1
# A request without an answer for so long raises the question whether the server lives, which is asked over a connection
# of its own; no answer within the second bound means that it does not. So a node that hangs is left after 3.5 s; a
# cluster has elected another leader 5 to 7 s after it hung (measured), and writes go on within 10.
IGGY_SILENCE_S: Final = 1.5
IGGY_PROBE_S: Final = 2.0
# What one broken connection means for the others is not known: their requests may have an answer for so much longer.
IGGY_LAST_ANSWER_S: Final = 1.0
# The server ends a session after 36 s without a sign (measured); the SDK's own interval.
IGGY_HEARTBEAT_S: Final = 5.0
# Nodes of a cluster that are remembered: more than any Iggy cluster has; and the time to ask for them.
IGGY_NODES_MAX: Final = 32
IGGY_ROSTER_TIMEOUT_S: Final = 1.0
# Messages of a first read from a partition whose messages' size is not known: 8 of the largest fit in memory.
IGGY_FIRST_READ_MESSAGES: Final = 8
# Messages of any one poll. The reply to 256 of 1 MB, after none but small ones, is 256 MB; more in one poll is a fifth
# faster (512, measured), but twice that, and again as it is copied, is all that a container of 1 GiB has: it would end there
# again and again.
IGGY_POLL_MESSAGES_MAX: Final = 256
# Events sent by this process that it knows again when it reads them: by runs of so many places of a partition, a million events
# in all. A run takes 2.3 KB, however few of its places are known: 9 MiB.
IGGY_SENT_RUN_MESSAGES: Final = 256
IGGY_SENT_RUNS_MAX: Final = 4_096
# Segments of topics with retention: whole sealed segments are removed, so they must be small (Iggy: 1 MiB..1 GiB).
IGGY_SEGMENT_BYTES_MIN: Final = 1024 * 1024
IGGY_SEGMENT_BYTES_MAX: Final = 64 * 1024 * 1024

# Iggy answers a purge some milliseconds before it has emptied the partitions, and forgets what is appended in between.
# Partitions with messages tell when they are done; for empty ones nothing does, so they get this time.
IGGY_PURGE_SETTLE_S: Final = 0.1

# --- gathered sends ---------------------------------------------------------------------------------------------
GATHER_MESSAGES_MAX: Final = 1_000
GATHER_BYTES_MAX: Final = 1024 * 1024
# Callers that wait in all lanes together, before "overloaded".
GATHER_WAITING_MAX: Final = 10_000
GATHER_WAITING_BYTES_MAX: Final = 256 * 1024 * 1024
# Lanes for topic partitions that are being written; an idle lane is dropped at once.
GATHER_LANES_MAX: Final = 10_000

# Stored offsets of a topic's partitions that one request asks for at once; Iggy is asked over four connections.
OFFSETS_AT_ONCE: Final = 8
# Streams whose topics one request asks for at once, to count those that its caller sees.
TOPIC_LISTS_AT_ONCE: Final = 8

# --- encrypted payloads -----------------------------------------------------------------------------------------
# A header's value holds the algorithm and the id, and has 255 bytes.
ENCRYPTION_KEY_ID_CHARS_MAX: Final = 64
# One a month for five years; those of messages that retention has removed are taken out.
ENCRYPTION_KEYS_MAX: Final = 64
# Data keys kept to write with, and to read with: one a topic and process. Making one takes 15 us (measured).
DATA_KEYS_MAX: Final = 1_024
# Salt, nonce and tag before and after each payload.
ENCRYPTION_OVERHEAD_BYTES: Final = 16 + 12 + 16

if APPEND_BYTES_MAX < MESSAGE_PAYLOAD_BYTES_MAX:
    raise AssertionError("one message of the largest size must fit an append")
if GATHER_BYTES_MAX > APPEND_BYTES_MAX or LOCAL_BYTES_WAITING_MAX < APPEND_BYTES_MAX:
    raise AssertionError("what may be gathered must fit what may be sent")
