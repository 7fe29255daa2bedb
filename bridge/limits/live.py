"""Bounds of long polls, streams, sockets and groups (leaf, pure)."""

from typing import Final

# --- live streams -----------------------------------------------------------------------------------------------
# Event streams and WebSockets at once: half of the connections, so that others still get in; 64 kB each at most.
LIVE_STREAMS_MAX: Final = 5_000
# The longest silence of a stream: proxies close after 30 to 60 s of it.
LIVE_HEARTBEAT_S: Final = 15.0
# A client that takes nothing for so long while something waits for it is gone.
LIVE_WRITE_TIMEOUT_S: Final = 30.0
# When an event stream's reader comes back: at random in between, so that those of a replica that ended spread out.
LIVE_RETRY_MS_MIN: Final = 1_000
LIVE_RETRY_MS_MAX: Final = 4_000
# Event types of one filter; the request line bounds them as well.
LIVE_EVENT_TYPES_MAX: Final = 64

# --- live reading -----------------------------------------------------------------------------------------------
# Partitions in one cursor: all that a topic may have (PARTITIONS_MAX).
CURSOR_PARTITIONS_MAX: Final = 1_000
# What a cursor takes at the most, with gaps between the partitions and the largest offsets. What occurs fits a header field:
# a thousand partitions take 4,030 characters as long as their ends differ by less than 2^24, 8,040 below 2^48.
CURSOR_CHARS_MAX: Final = 14_700
# A cursor in the head of an answer, which nginx wants to be 4 KiB in all (proxy_buffer_size); a longer one is left out.
END_CURSOR_CHARS_MAX: Final = 3_000
# What the cursors of the messages of one batch take, by CURSOR_PARTITION_CHARS for each of their partitions: 32 of the
# longest, half a millisecond of signing.
BATCH_CURSORS_CHARS_MAX: Final = 256 * 1024
CURSOR_PARTITION_CHARS: Final = 8
# A poll of Iggy costs 400 us of CPU: while messages come, one every 2 ms at most (after one that gave nothing, the next
# acknowledgement is followed at once), which a reader does not notice ...
TAIL_POLL_MS_MIN: Final = 2
# ... and while none come one every 20 ms, 2 % of a core, so that what others send is seen within 11 ms (p50).
TAIL_POLL_MS_MAX: Final = 20
# All idle partitions together: a fifth of a core. With more of them each is polled less often.
TAIL_POLLS_PER_S_MAX: Final = 500
# A log that tells of every append is looked at so often all the same.
TAIL_SAFETY_S: Final = 1.0
# One read of a tail; a log that cannot be reached is tried again after a while.
TAIL_READ_TIMEOUT_S: Final = 5.0
TAIL_RETRY_S_MIN: Final = 0.05
TAIL_RETRY_S_MAX: Final = 2.0
# A partition with a single message looks like one that was purged: so often that message is looked at again.
TAIL_SINGLE_LOOK_S: Final = 1.0
# How long a tail goes on when nobody watches: a client that polls again and again finds it warm.
TAIL_LINGER_S: Final = 2.0
# Partitions watched at once: each is a task of 4 KB, and with so many each is polled every 8 s on Iggy.
TAILS_MAX: Final = 4_096
# One read of a tail, of a stream, or of a reader that catches up: as many as a program asks the SDK for at once, so that
# requests are no dearer by the message.
READ_PAGE_MESSAGES: Final = 1_000
# Partitions of a topic that one reader, or one feed, looks at together where it has to look at all of them: a thousand
# one after the other take a second, all at once leave no place for the reads of others.
PARTITIONS_AT_ONCE: Final = 32
# Messages that are handed on as one: made into bytes in below 1 ms, and what a full socket holds beyond its bound.
FEED_BATCH_MESSAGES: Final = 250
FEED_BATCH_BYTES: Final = 64 * 1024
# What one write to a reader takes of what is waiting for it.
FEED_RUN_BYTES: Final = 256 * 1024
# What readers that fall behind find without asking the log: of one feed, and of all together with their encodings.
FEED_BATCHES_MAX: Final = 4_096
FEED_BYTES_MAX: Final = 8 * 1024 * 1024
FEEDS_BYTES_MAX: Final = 64 * 1024 * 1024
# Encodings kept of one batch: formats times filters; further ones are made for each reader.
FEED_FORMS_MAX: Final = 8
# Readers served in one turn of the loop: at 8 us each, 0.5 ms. A thousand readers get 1.6 times as many events a second as
# with 256 (measured), since more of what is sent meanwhile gets into their next write.
FEED_DELIVERIES_PER_TURN: Final = 64
# Readers of event streams that read from the log at a time, each with a page (PAGE_BYTES_MAX at worst): all that come
# back after a restart would hold gigabytes, and keep the loop for seconds. Who waits for his socket holds no place.
FEED_CATCH_UPS: Final = 4
# How often the number of partitions is looked at while somebody follows all of them; Iggy's is cached for 5 s.
FEED_PARTITIONS_LOOK_S: Final = 3.0
# Feeds at once: every list of partitions of a topic that somebody follows is one.
FEEDS_MAX: Final = 1_024
# Longest `wait_ms`; load balancers cut what is silent for longer.
WAIT_MS_MAX: Final = 60_000
# Clients that wait in long polls: most of the connections there may be; each holds about 10 KB.
LONG_POLLS_MAX: Final = 8_000
# Between two looks of one long poll that was woken for nothing.
LONG_POLL_AGAIN_S: Final = 0.05
# What a long poll leaves of the request's time for its last look.
LONG_POLL_MARGIN_S: Final = 0.5

# --- WebSocket --------------------------------------------------------------------------------------------------
# One message of a client, or less where `MAX_REQUEST_BODY_SIZE` is: 2 ms of checking, and 5,000 sockets that send the
# beginning of one hold 1.3 GB at worst, which is why what is held of all of them counts as bodies in flight.
WS_MESSAGE_BYTES_MAX: Final = 256 * 1024
# Frames of one message: browsers send one, libraries one for each 16 KiB or so.
WS_FRAGMENTS_MAX: Final = 256
# Held of a socket without asking; what is more is held as the bodies of requests are.
WS_FREE_BYTES: Final = 64 * 1024
# Subscriptions of one socket: each is a task of some KB and may hold one read of the log.
WS_SUBSCRIPTIONS_MAX: Final = 32
# Messages published and not answered yet, and their bytes; with more of them nothing further is read. 64 KiB/ms is
# more than one socket sends.
WS_PUBLISHES_MAX: Final = 256
WS_PUBLISH_BYTES_MAX: Final = 1024 * 1024
# Of all sockets together: half of the appends that may wait. From there on each socket is read on when it has none of its
# own in flight, so that all of them (LIVE_STREAMS_MAX) never reach the other half and none is refused.
WS_PUBLISHES_OF_ALL_MAX: Final = 5_000
# Other operations that wait for the log at a time.
WS_CALLS_MAX: Final = 32
# Permits that a subscription may hold; a client that wants everything gives more now and then.
WS_PERMITS_MAX: Final = 1_000_000
# Messages of one subscription to a group that the client has and has not acknowledged: each is a token of 100 bytes here.
WS_UNACKED_MAX: Final = 1_000
# Messages of a group that one receive asks for: in memory until they are sent.
WS_RECEIVE_MESSAGES_MAX: Final = 100
# The longest wait of one receive, after which the next one begins: it shows whether the group can still be served.
WS_RECEIVE_WAIT_S: Final = 20.0
# Faulty messages, pings and pongs that nobody asked for at once; one a second comes back. A fault costs 30 us to tell.
WS_FAULTS_BURST: Final = 32
WS_PINGS_BURST: Final = 32
# How long a socket may be silent before it is asked for a sign of life; in as long again it is gone.
WS_PING_INTERVAL_S: Final = 20.0
# A socket without subscription on which nothing is asked for so long is of no use.
WS_IDLE_TIMEOUT_S: Final = 300.0
# What a client gets to answer a close frame, before its connection is cut.
WS_CLOSE_TIMEOUT_S: Final = 2.0
