"""Every bound of groups, each with its reason (leaf, pure).

The bounds of one record and of a partition's state belong to the ledger's format: replicas that apply the same records
under other bounds would disagree. Change them only together with the version of `groups/records.py`.
"""

from typing import Final

# Longest time a message may be out; what nobody acknowledged after a process died comes again after so long at worst.
GROUP_VISIBILITY_MS_MAX: Final = 600_000
GROUP_VISIBILITY_MS_MIN: Final = 100
GROUP_NACK_DELAY_MS_MAX: Final = 3_600_000
# Messages of one receive, and tokens of one ack; a record of them is below 64 KiB.
GROUP_RECEIVE_MESSAGES_MAX: Final = 1_000
GROUP_TOKENS_MAX: Final = 1_000
GROUP_DELIVERIES_MAX: Final = 1_000
# Messages of a partition that are out or came back at a time; at 250 bytes each a partition takes 2.5 MB.
GROUP_UNACKED_MAX: Final = 10_000
# Runs of messages passed over below the newest lease; they come of leases that crossed, a handful at a time.
GROUP_FREE_RANGES_MAX: Final = 1_024
# Over all groups: the ledger's snapshot of so many is 1 MB and made in 90 ms (measured).
GROUPS_UNACKED_MAX: Final = 100_000
GROUPS_MAX: Final = 1_000
GROUP_PARTITIONS_MAX: Final = 20_000
# Bridge processes that serve groups of one log.
GROUP_MEMBERS_MAX: Final = 1_000
# A process that was killed is out after so long of the ledger's time; it sends three heartbeats in it.
GROUP_MEMBER_TTL_MS: Final = 10_000
# A process has receivers of a group for so long after the last one left: who polls comes again within seconds.
GROUP_MEMBER_LINGER_S: Final = 10.0
# Parts of one record: partitions, and ranges of offsets in them.
GROUP_RECORD_PARTS_MAX: Final = 1_000
# Largest record: a thousand scopes of three names of 255 bytes.
GROUP_RECORD_BYTES_MAX: Final = 1024 * 1024
# The consumer that a group's committed offsets are stored for is `group.<name>`.
GROUP_NAME_CHARS_MAX: Final = 255 - len("group.")
# Records read of the ledger at a time: 10 ms of applying before others have their turn.
GROUP_LEDGER_PAGE_MESSAGES: Final = 1_000
# A snapshot at the latest after so many records, which a starting process applies in 0.2 s (8 us each), or so many seconds.
GROUP_SNAPSHOT_RECORDS: Final = 20_000
GROUP_SNAPSHOT_INTERVAL_S: Final = 30.0
# Pieces of a snapshot; the whole goes into one append.
GROUP_SNAPSHOT_PIECE_BYTES: Final = 1024 * 1024
# Long enough to look into what happened; what is needed is younger than the last snapshot.
GROUP_LEDGER_AGE_S: Final = 24 * 3600
GROUP_SNAPSHOTS_BYTES_MAX: Final = 256 * 1024 * 1024
# What one group reads ahead of a partition: the next receivers find their messages there.
GROUP_AHEAD_MESSAGES: Final = 256
GROUP_AHEAD_BYTES_MAX: Final = 32 * 1024 * 1024
# Partitions that are read ahead; to weigh them after a read takes 50 us.
GROUP_AHEAD_WINDOWS_MAX: Final = 256
# Receivers that wait in one process; each holds a request.
GROUP_RECEIVERS_MAX: Final = 10_000
# Before a process leases from a partition whose owner has receivers too: the owner needs one turn of its loop.
GROUP_GRACE_S: Final = 0.05
# A process in which nobody asked for a group so long stops following the ledger, and leaves its partitions.
GROUP_IDLE_S: Final = 60.0
# How often it is looked at how groups stand, for the figures; where that takes long, so that it is a tenth of the time.
GROUP_STATS_INTERVAL_S: Final = 5.0
GROUP_STATS_SHARE: Final = 0.1
# After a look that failed it rests as long as that took, GROUP_STATS_TIMEOUT_S where the log is away: a tenth would leave
# alerts without figures for five minutes after the log is back.
GROUP_STATS_FAILED_SHARE: Final = 1.0
# For one such look: a thousand groups of as many topics, each asked for in a millisecond or some.
GROUP_STATS_TIMEOUT_S: Final = 30.0
# For the age of groups: partitions with unsettled messages whose first one is remembered (2 MB), groups beyond them have no
# age; and reads of one such look, which at some milliseconds each are well within its time.
GROUP_AGES_MAX: Final = 10_000
GROUP_AGES_READ_MAX: Final = 256
# A week, as long as Kafka keeps the offsets of a group without members.
GROUP_UNUSED_S: Final = 7 * 24 * 3600
# Committed offsets of a partition are stored so often at most.
GROUP_COMMIT_INTERVAL_S: Final = 1.0
# Partitions read or looked up at a time for one request.
GROUP_READS_AT_ONCE: Final = 8
# How long the dead-letter writer holds a message; then another may try.
GROUP_DEAD_LETTER_LEASE_MS: Final = 30_000
# A message is not handed out when less than this of its lease is left by the process's own count.
GROUP_LEASE_MARGIN_S: Final = 0.05
