"""Bounds of requests, and of how many there may be (leaf, pure)."""

from typing import Final

# --- HTTP -------------------------------------------------------------------------------------------------------
REQUEST_TIMEOUT_MS_MIN: Final = 100
REQUEST_TIMEOUT_MS_MAX: Final = 300_000
REQUEST_ID_CHARS_MAX: Final = 128
# `tracestate`: as many members as the standard allows, and what fits the value of a message header; of longer ones members of
# up to 128 characters are kept first (W3C Trace Context, section 3.3.1.5).
TRACE_STATE_MEMBERS_MAX: Final = 32
TRACE_STATE_CHARS_MAX: Final = 255
TRACE_STATE_SPARED_CHARS: Final = 128
# Spans of reads below the span of one request: a page needs one, a stream that catches up would make thousands.
SPAN_READS_MAX: Final = 32
# A collector that is away fails every few seconds; that is told once a minute.
TRACE_EXPORT_TOLD_INTERVAL_S: Final = 60.0
# The target of a request line and a header field: a cursor of a thousand partitions stands in either. What is before us
# takes no more: nginx 8,192, Apache 8,190. They differ, since the parser says which bound was passed and not by what.
REQUEST_LINE_BYTES_MAX: Final = 8_192
HEADER_FIELD_BYTES_MAX: Final = 8_190
HEADER_FIELDS_MAX: Final = 64
# From its first byte on; of the first head of a connection from its beginning on.
HEAD_TIMEOUT_S: Final = 15.0
# What a connection may be idle. Above the 60 s after which nginx, AWS and others let go of one that they keep: whoever is in
# front must be the first to close, else a request meets the close and is lost.
KEEPALIVE_TIMEOUT_S: Final = 75.0
KEEPALIVE_TIMEOUT_S_MAX: Final = 3_600.0
# What the chunks of a body may hold besides its bytes: as Go's server, 16 KiB and 16 bytes for each. A byte in a chunk of its
# own takes 5.
CHUNK_OVERHEAD_BYTES_FREE: Final = 16 * 1024
CHUNK_OVERHEAD_PER_BYTE_MAX: Final = 16
# A body may take 10 s and a second for each 64 KiB, at most 30 s in all; then 408.
BODY_TIMEOUT_BASE_S: Final = 10.0
BODY_BYTES_PER_S_MIN: Final = 64 * 1024
BODY_TIMEOUT_MAX_S: Final = 30.0
# After 413 the rest of the body is read for so long before the connection is closed.
LINGER_S: Final = 2.0
CONNECTIONS_MAX: Final = 10_000
CONNECTIONS_PER_ADDRESS_MAX: Final = 1_000
# From the connection on. A handshake takes two round trips and a few milliseconds of a core; who needs longer is no client.
TLS_HANDSHAKE_TIMEOUT_S: Final = 10.0
# For the client's own goodbye, which says nothing that is needed.
TLS_SHUTDOWN_TIMEOUT_S: Final = 2.0
# Handshakes that are under way when the port is closed; their clients come to the end of a request by then or ask elsewhere.
TLS_HANDSHAKE_DRAIN_S: Final = 1.0
# Handshakes fail by the thousand where somebody scans ports; one line for so many seconds.
TLS_FAILURE_TOLD_INTERVAL_S: Final = 10.0
# A chain of four certificates of 16 kbit keys stays below; more is the wrong file, /dev/zero for one.
TLS_FILE_BYTES_MAX: Final = 1024 * 1024
# Names of one client certificate that are looked at, and the characters of each (a SPIFFE id has 2,048 at most).
CLIENT_CERTIFICATE_NAMES_MAX: Final = 16
CLIENT_CERTIFICATE_NAME_CHARS_MAX: Final = 2048
# Callers who come at once, before they are taken; one more waits a second for its next try. The kernel cuts it to its own bound.
LISTEN_BACKLOG: Final = 4096
# RFC 7239 lists grow by one entry a proxy; nobody has ten.
FORWARDED_ENTRIES_MAX: Final = 10
# An IPv6 address that ends as IPv4 has 45; with a zone, brackets, quotes and a port it stays below this.
FORWARDED_NODE_CHARS_MAX: Final = 128
# All of `Forwarded`: ten elements with every name there is.
FORWARDED_CHARS_MAX: Final = 4096
# A proxy whose word cannot be used is told of once an hour, and no more of them than this.
FORWARDED_TOLD_INTERVAL_S: Final = 3600.0
FORWARDED_TOLD_PEERS_MAX: Final = 100
# A person's JSON stays under 20; parsers of consumers break at a few hundred.
JSON_DEPTH_MAX: Final = 64
EVENT_TYPE_CHARS_MAX: Final = 256
# Up to here a body is checked by building its objects, which costs up to 24 bytes for each of its own and is let
# go at once; beyond, it is only scanned. At 10 to 40 ms a MiB, this is what the event loop can wait for ...
JSON_FAST_BYTES_MAX: Final = 512 * 1024
# ... unless there are more arrays and objects in it than this: 0.5 us each, 8 ms of them.
JSON_FAST_BRACKETS_MAX: Final = 16_384
# What of JSON is looked at in one go, and events of a large batch: 1 ms where they are plain, 8 where they are not. What
# is heavy is cut into such steps; a few passes cannot be cut and take up to 5 ms a MiB, 50 ms of the largest body by
# default: a parser's, to find where an event begins and ends, and that for UTF-8. Threads would not help: such a pass
# keeps the lock of the interpreter.
JSON_STEP_BYTES: Final = 128 * 1024
# Numbers of more than 200 digits or beyond 1e299 in a body of more than that; each is looked at in Python, at 2 us.
JSON_WIDE_NUMBERS_MAX: Final = 10_000
# One line of an NDJSON body, without the LF or CRLF that ends it; what is larger is sent by itself, or as a whole message.
NDJSON_LINE_BYTES_MAX: Final = 1024 * 1024
# A line that is a whole message may hold, beside what MAX_REQUEST_BODY_SIZE is in base64: the headers, all of them escaped
# (6 characters for one), and where the message was.
NDJSON_WHOLE_LINE_SPARE_BYTES: Final = 1024 * 1024
# So many lines are worth a commit of their own. Where the log is still busy with those before, more come to share the next
# one, whose sync of the disk takes as long as one of a thousand (3 ms of 4, measured).
NDJSON_BATCH_MESSAGES: Final = 1_000
# Lines that are committed together, and their payloads; with what fills meanwhile, a body holds three times this.
NDJSON_BATCH_MESSAGES_MAX: Final = 4_000
NDJSON_BATCH_BYTES: Final = 1024 * 1024
# How long the next bytes of an NDJSON body may take; the whole may take for ever, as long as it comes at the least rate.
NDJSON_IDLE_TIMEOUT_S: Final = 30.0
# In the long run, while the bridge waits for more: ten short lines a second. Who has less to send ends its body and begins
# another.
NDJSON_BYTES_PER_S_MIN: Final = 1024
# Faulty lines that an answer tells one by one; the rest is counted.
NDJSON_FAULTS_TOLD: Final = 100
# Ranges of offsets that an answer tells; further ones are joined to the last of their partition.
NDJSON_RANGES_TOLD: Final = 1_000
# NDJSON bodies that are read at a time, each with its batches and its decompressor: 300 MB.
NDJSON_BODIES_MAX: Final = 64
# What one step of decompression gives.
INFLATE_PIECE_BYTES: Final = 64 * 1024
# What a member or frame is given at first, and twice as much each time. A decoder copies what stands behind the end of
# its member: with all that came in at once, a body of n empty members costs n * n.
INFLATE_STEP_BYTES_MIN: Final = 128
# Members begun before others get their turn: 0.4 ms of empty zstd frames (6.3 us each, measured), 0.1 ms of gzip's.
INFLATE_MEMBERS_PER_TURN: Final = 64
# Logs as JSON shrink to a tenth or a fiftieth; bombs are at 1,000 and more. The first MiB is anybody's.
INFLATE_RATIO_MAX: Final = 200
INFLATE_RATIO_FREE_BYTES: Final = 1024 * 1024
# 8 MiB for each decompressor, which is what RFC 8878 (section 3.1.1.1.2) asks of everyone.
ZSTD_WINDOW_LOG_MAX: Final = 23
# What a fault shows of a field name that came from outside.
FAULT_NAME_CHARS_MAX: Final = 64
# Where in a body a fault is, by path: looked for in Python, 0.3 us a token, and told so many levels deep.
FAULT_PATH_BYTES: Final = 64 * 1024
FAULT_PATH_STEPS_MAX: Final = 16
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

# --- clients that do not take what waits for them --------------------------------------------------------------
# How long a client may take nothing of what waits for it; also when the kernel ends a connection whose peer
# acknowledges nothing. A phone in a tunnel comes back before that, or not at all.
WRITE_PATIENCE_S: Final = 30.0
# What it must take in the long run, 128 kbit/s: below it a page of the largest size would take more than four minutes.
WRITE_BYTES_PER_S_MIN: Final = 16 * 1024
# What waits for all clients of one worker that take less than is written to them: an eighth of the memory that the manifests allow.
SLOW_CLIENTS_BYTES_MAX: Final = 128 * 1024 * 1024
# What the kernel takes of an answer beyond what is on its way already; more of it would be counted nowhere.
UNSENT_BYTES_MAX: Final = 128 * 1024

# --- bulk out ---------------------------------------------------------------------------------------------------
# What of a page becomes JSON, and is compressed, in one go: mostly all of it, in 1 ms, at most 5 ms, before others get
# their turn (two parts instead of one took 5 % more CPU).
BULK_PART_MESSAGES: Final = 1_000
BULK_PART_BYTES: Final = 512 * 1024
# Streams at once: each holds two pages, of PAGE_BYTES_MAX at worst.
BULK_READS_MAX: Final = 32

# --- rate limits and keys ---------------------------------------------------------------------------------------
# Addresses remembered, and those that acknowledge messages of groups once more; at about 300 bytes each this is 30 MB.
RATE_LIMIT_ADDRESSES_MAX: Final = 100_000
FAILED_KEYS_BURST: Final = 5
# "At once": long enough that a slow guesser's five count together, short enough to type the key again.
FAILED_KEYS_BURST_S: Final = 10
FAILED_KEYS_PER_MINUTE: Final = 10

# Redis, where replicas count together: beyond this it is away. On a network of one site it answers in 1 ms.
SHARED_LIMITS_TIMEOUT_S: Final = 0.04
# For its first answer, before the ports are taken.
SHARED_LIMITS_START_TIMEOUT_S: Final = 2.0
# How often it is tried while it is away, and looked after while it is not.
SHARED_LIMITS_PROBE_INTERVAL_S: Final = 1.0
# At 0.3 ms a question, 32 at a time are more than one core of ours can ask.
SHARED_LIMITS_CONNECTIONS_MAX: Final = 32

# --- overload -------------------------------------------------------------------------------------------------------
# What one address may have of what is counted in slots (uploads, bulk reads, long polls, streams): a half where it is
# alone, a third beside another one, so that a few cannot keep everybody out.
ADDRESS_SLOTS_ALPHA: Final = 1.0
# Of the bytes of bodies three quarters where it is alone: one program that sends much is the common case.
ADDRESS_BYTES_ALPHA: Final = 3.0
# Of the places beyond the first 64 four fifths; they come free by the request's deadline, whoever has them.
ADDRESS_REQUESTS_ALPHA: Final = 4.0
# At 20-70 us a request, this many in one turn of the loop take below 5 ms; fewer make the gathered writes smaller.
ADMITTED_REQUESTS_MIN: Final = 64
# Before anything is known of the machine: 512 take about 30 ms.
ADMITTED_REQUESTS_START: Final = 512
# Who finds no place waits so long for one: as long as who is refused is told to stay away at least.
ADMISSION_WAIT_S: Final = 1.0
# A turn of the loop is then 10 to 20 ms long, and a probe, which takes two, is answered within 50 ms.
LOOP_LATE_S: Final = 0.010
# How often that is looked at while there is much to do.
LOOP_LOOK_S: Final = 0.01
# At 65 us each on a free core, a thirtieth of it ...
REFUSALS_PER_S_MAX: Final = 500
# ... and while the loop is late, as where others have nine tenths of the core, no more of what is left.
REFUSALS_PER_S_MIN: Final = 50
# Connections taken in one turn of the loop: at 100 us each they take 3 ms.
ACCEPTS_PER_TURN: Final = 32
# Before the next attempt where a connection could not be taken for want of descriptors; asyncio rests so long too.
ACCEPT_REST_S: Final = 1.0
# A thousand connections of one address that are refused again and again, a hundred a second; `Retry-After` says it, too.
REFUSED_REST_S_MAX: Final = 10.0
