"""Bounds of keys, of tokens and the keys that these are signed with, and of what both may (leaf, pure)."""

from typing import Final

from bridge.limits.log import NAME_CHARS_MAX

# --- permissions ------------------------------------------------------------------------------------------------
# The longest scope, a stream, a topic, and the marks between them.
PERMISSION_CHARS_MAX: Final = len("produce:/") + 2 * NAME_CHARS_MAX
# Of one key or token: each is tried in its turn for every request. One that needs more wants patterns.
PERMISSIONS_MAX: Final = 64

# --- keys -------------------------------------------------------------------------------------------------------
# Two for each of some thousand tenants; they take 1 s to read at start and 0.1 s after a change (measured), in a thread.
KEYS_MAX: Final = 10_000
# Beyond it the file is the wrong one: so many keys with a handful of permissions each.
KEYS_FILE_BYTES_MAX: Final = 16 * 1024 * 1024
# Faults of a file that are told: who has more of them has one cause.
KEYS_FILE_FAULTS_TOLD_MAX: Final = 50
KEY_NAME_CHARS_MAX: Final = 64
# Each is tried in its turn for every request.
KEY_NETWORKS_MAX: Final = 32
KEY_REQUESTS_PER_S_MAX: Final = 1_000_000
KEY_BYTES_PER_S_MAX: Final = 2**40
# By so much at most a key may be behind with its bytes, after a body that was longer than what it may send in that time.
KEY_DEBT_S_MAX: Final = 3_600.0
# A key that ended stays in the file so long, so that whoever still shows it is seen to show an old one.
KEY_KEPT_AFTER_END_DAYS: Final = 90
# How often it is looked whether what is open may stay so: so late it ends after its key. A look takes 1 us a key.
CREDENTIALS_LOOK_S: Final = 1.0
# Two commands that change the file wait for each other: a change takes milliseconds.
KEYS_FILE_LOCK_WAIT_S: Final = 5.0

# --- tickets ----------------------------------------------------------------------------------------------------
# A page asks for one and opens its stream at once; what stands in a URL must not be of use for long.
TICKET_LIFETIME_S: Final = 30.0
# With the rest of a request line below the 8,190 bytes at which it is refused.
TICKET_CHARS_MAX: Final = 4_096

# --- tokens -----------------------------------------------------------------------------------------------------
# The longest token that is looked at; a header field ends at 8,190 bytes.
TOKEN_CHARS_MAX: Final = 8_000
# Clocks of an identity provider and of the bridge differ by so much at most.
TOKEN_LEEWAY_S: Final = 30.0
# Tokens whose signature was found right, so that it is checked once and not with each request (RS256: 60 us, measured).
TOKENS_VERIFIED_MAX: Final = 1_024
TOKEN_SUBJECT_CHARS_MAX: Final = 255
# HS256 asks for a key as long as its hash (RFC 7518 section 3.2); a character of a secret has less than a byte of chance.
TOKEN_SECRET_CHARS_MIN: Final = 32
# --- signing keys -----------------------------------------------------------------------------------------------
# 64 keys of 4,096 bits with their certificates are 200 KB.
JWKS_BYTES_MAX: Final = 256 * 1024
JWKS_KEYS_MAX: Final = 64
JWKS_TIMEOUT_S: Final = 5.0
# Providers publish a key well before they sign with it.
JWKS_INTERVAL_S: Final = 600.0
# A token under an unknown key makes the bridge ask at once, and whoever sends such tokens no oftener than this.
JWKS_ASKED_INTERVAL_S: Final = 30.0
# A provider that is away for longer: keys that it has withdrawn meanwhile must not be good for ever.
JWKS_STALE_S_MAX: Final = 3_600.0
# RSA keys that are shorter can be broken (NIST SP 800-131A).
RSA_KEY_BITS_MIN: Final = 2_048

# --- what is remembered of callers ------------------------------------------------------------------------------
# A file of keys is checked before it is used, and most keys have the permissions of others; each takes 0.1 ms and 1 KiB.
PERMISSIONS_REMEMBERED_MAX: Final = 32_768
# What was found of the addresses of callers that stay, so that parsing them costs nothing: a table for each question.
ADDRESSES_REMEMBERED_MAX: Final = 4_096
# Callers use a few names in `Host`, and each of them again and again.
HOSTS_REMEMBERED_MAX: Final = 256
# What callers accept: a program says the same with each request, and each GET asks twice. One has no more bytes than a head.
ACCEPTED_REMEMBERED_MAX: Final = 64
